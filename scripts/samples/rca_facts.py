"""What network elements report, by the ITU-T X.733 category of the cause: the facts behind the rca sample.

Categories say whose trouble it is: conveying information between two points (communications), degraded service
(quality of service), software or data (processing error), a broken unit (equipment), the room around it
(environmental); EventTrap is a notice with nothing wrong. Names in braces are drawn once a row.
"""

from __future__ import annotations

from dataclasses import dataclass

DETAILS: dict[str, tuple[str, ...]] = {
    "port": ("xe-0/0/3", "GE1/0/12", "1/1/c4/1", "Te0/1/0/6", "ge-2/1/7", "HundredGigE0/0/0/1"),
    "peer": ("10.44.0.9", "172.20.8.1", "10.250.3.17", "192.0.2.66"),
    "board": ("slot 3", "slot 7", "shelf 1 slot 11", "subrack 0 slot 5"),
    "cell": ("LTE-4471-2", "NR-0193-1", "cell 3 of site KOR-118", "sector B of NAV-07"),
    "site": ("KOR-118", "NAV-07", "HUB-22", "EXCH-NORTH", "POP-LIS-3"),
    "percent": ("87", "91", "94", "97"),
    "few": ("3", "5", "8", "12"),
    "many": ("214", "530", "1180", "4096"),
    "degrees": ("48", "53", "57", "61"),
    "dbm": ("-31.4", "-34.0", "-40.0"),
    "release": ("21.4R3", "V8.10.2", "R17-SP2", "23.2.1"),
    "user": ("noc2", "provision", "jmendes", "oss_sync"),
    "process": ("bgpd", "rpd", "ospf_mgr", "charging_agent", "lm_daemon"),
}

DEVICES = (
    "Router",
    "Base station",
    "OLT",
    "Microwave link",
    "Core switch",
    "DWDM node",
    "Media gateway",
    "RNC",
    "BRAS",
    "MME",
)


@dataclass(frozen=True)
class Cause:
    """What happened. `causes` are probable causes and `texts` specific problems, each of them telling by itself."""

    causes: tuple[str, ...]
    texts: tuple[str, ...]
    after: tuple[str, ...]
    severities: tuple[str, ...] = ("major", "minor", "critical")


# consequences: they follow causes of several categories
NEIGHBOUR = "adjacency with {peer} went down, hold timer expired"
LINK = "operational state of {port} changed to down"
SERVICE = "service on {cell} degraded"
CELL_DOWN = "{cell} taken out of service"
SWITCHED = "traffic moved to the protection path"
RESTARTED = "unit in {board} restarts"
CLIENTS = "{many} subscribers lost their session"
SLOWED = "throughput on {port} below its usual level"
POLL = "element did not answer {few} polls of the management station"

COMMUNICATIONS = (
    Cause(
        ("lossOfSignal", "LOS"),
        (
            "no light received on {port}",
            "optical input power {dbm} dBm, no carrier on {port}",
            "incoming signal missing on {port}",
        ),
        (LINK, SWITCHED, NEIGHBOUR),
    ),
    Cause(
        ("lossOfFrame", "framingError"),
        (
            "frame alignment lost on {port}",
            "{many} out-of-frame seconds on {port}",
            "frames from the far end cannot be aligned",
        ),
        (LINK, SLOWED),
    ),
    Cause(
        ("remoteNodeTransmissionError", "RDI"),
        ("far end reports a defect on the trunk to {peer}", "remote defect indication received on {port}"),
        (SERVICE, SWITCHED),
    ),
    Cause(
        ("BGP peer down", "routingProtocolFailure"),
        ("session to {peer} left Established, hold timer expired", "keepalives from {peer} stopped, neighbour lost"),
        (CLIENTS, SWITCHED),
    ),
    Cause(
        ("localNodeTransmissionError", "S1 link failure"),
        (
            "SCTP association with {peer} aborted",
            "S1 path to the core at {peer} lost",
            "heartbeats to {peer} unanswered",
        ),
        (CELL_DOWN, CLIENTS),
    ),
    Cause(
        ("callEstablishmentError", "signalling link failure"),
        ("SS7 link set to {peer} unavailable", "no answer to INVITE from trunk {peer}, calls cannot be set up"),
        (CLIENTS, SERVICE),
    ),
    Cause(
        ("degradedSignal", "excessiveBER"),
        (
            "bit error ratio 1E-4 on the path to {peer}",
            "signal to noise of the radio hop to {site} fell below its limit",
            "{many} CRC errors received from the line on {port}",
        ),
        (SLOWED, SWITCHED),
    ),
    Cause(
        ("lANError", "dTE-DCEInterfaceError"),
        (
            "interface {port} flaps, cable pair to the neighbour interrupted",
            "negotiation with the neighbour on {port} fails",
        ),
        (NEIGHBOUR, LINK),
    ),
    Cause(
        ("LACP down", "pathUnavailable"),
        (
            "no LACP frames from the partner on {port}",
            "pseudowire to {peer} unavailable, label withdrawn by the far end",
        ),
        (LINK, SERVICE),
    ),
    Cause(
        ("ONU offline", "fibreCut"),
        (
            "{few} subscribers' terminals on PON {port} vanished at once",
            "feeder fibre towards {site} interrupted at 4.2 km",
        ),
        (CLIENTS, POLL),
    ),
)

QUALITY = (
    Cause(
        ("responseTimeExcessive",),
        ("answer time of the HLR at {peer} {many} ms", "round trip to {peer} exceeds its objective of 40 ms"),
        (CLIENTS,),
    ),
    Cause(
        ("queueSizeExceeded",),
        (
            "egress queue of {port} {percent} % full, tail drops begin",
            "{many} requests wait, the backlog objective is 200",
        ),
        (SLOWED, SERVICE),
    ),
    Cause(
        ("congestion", "bandwidthReduced"),
        (
            "{port} carries {percent} % of its capacity",
            "busy hour traffic on the trunk to {peer} exceeds what was planned",
            "committed rate cannot be met on {port}",
        ),
        (SLOWED, CLIENTS),
    ),
    Cause(
        ("retransmissionRateExcessive",),
        ("TCP retransmissions towards {peer} at {few} %", "RLC retransmissions in {cell} at {few} %"),
        (SLOWED,),
    ),
    Cause(
        ("thresholdCrossed", "TCA"),
        (
            "packet loss to {peer} {few} %, objective 0.1 %",
            "jitter of voice calls on {port} 48 ms, objective 20 ms",
            "15-minute delay counter above its objective",
        ),
        (SERVICE, CLIENTS),
    ),
    Cause(
        ("KPI degraded", "performanceDegraded"),
        (
            "call drop rate of {cell} {few} % over the last hour",
            "handover success in {cell} fell to {percent} %",
            "setup success ratio {percent} %, target 99.2 %",
        ),
        (SERVICE,),
    ),
    Cause(
        ("resourceAtOrNearingCapacity",),
        (
            "{cell} admits no further users, {many} connected",
            "address pool {percent} % used, new sessions soon refused",
        ),
        (CLIENTS, SERVICE),
    ),
    Cause(
        ("MOS degraded", "SLA violation"),
        (
            "mean opinion score of calls through {site} 2.9",
            "availability promised to the customer on {port} missed this month",
        ),
        (SERVICE,),
    ),
)

PROCESSING = (
    Cause(
        ("softwareProgramAbnormallyTerminated", "softwareError"),
        ("{process} exited on signal 11", "core file of {process} written, restarted {few} times"),
        (NEIGHBOUR, CLIENTS),
    ),
    Cause(
        ("storageCapacityProblem", "file system full"),
        ("/var at {percent} %, logs cannot be written", "partition of the billing records {percent} % full"),
        (POLL,),
    ),
    Cause(
        ("versionMismatch",),
        (
            "{board} runs {release}, the system another release",
            "image {release} does not fit the installed database schema",
        ),
        (RESTARTED, SERVICE),
    ),
    Cause(
        ("corruptData", "databaseInconsistency"),
        (
            "checksum of the running configuration does not match",
            "records of the subscriber table unreadable",
            "standby database differs from the active one in {many} rows",
        ),
        (CLIENTS, POLL),
    ),
    Cause(
        ("configurationOrCustomizationError",),
        (
            "parameter set of {cell} refers to a neighbour that is not defined",
            "access list compiles with {few} errors",
            "commit rolled back, statement not accepted by {process}",
        ),
        (SERVICE, CELL_DOWN),
    ),
    Cause(
        ("cPUCyclesLimitExceeded",),
        ("{process} uses {percent} % of processor time", "load of the control task above {percent} % for 15 minutes"),
        (POLL, NEIGHBOUR, SLOWED),
    ),
    Cause(
        ("outOfMemory", "memory leak"),
        ("{process} cannot allocate buffers", "heap of {process} grew by {many} MB since restart"),
        (RESTARTED, NEIGHBOUR),
    ),
    Cause(
        ("applicationSubsystemFailure",),
        ("{process} does not react to its supervisor", "charging application not running on any member"),
        (CLIENTS, SERVICE),
    ),
    Cause(
        ("fileError", "transferOfRecordsFailed"),
        ("measurement file of 10:15 cannot be opened", "call records could not be parsed, {many} set aside"),
        (POLL,),
    ),
    Cause(
        ("licence key invalid", "underlyingResourceUnavailable"),
        ("signature of the licence file not valid, feature disabled", "{process} waits for a lock held for {many} s"),
        (SERVICE, SLOWED),
    ),
)

EQUIPMENT = (
    Cause(
        ("powerProblem", "powerSupplyFailure"),
        (
            "rectifier module {few} delivers no current",
            "supply B of the shelf failed, running on supply A",
            "converter on {board} out of range, 3.3 V at 2.6 V",
        ),
        (RESTARTED, POLL),
    ),
    Cause(
        ("receiverFailure",),
        ("receiver of the radio unit in {board} faulty", "self-test of the receive branch fails, unit to be replaced"),
        (CELL_DOWN, LINK),
    ),
    Cause(
        ("transmitterFailure", "laserEndOfLife"),
        (
            "laser bias of the transceiver in {port} at its limit",
            "power amplifier of {cell} gives no output",
            "transmit module in {board} burnt out",
        ),
        (LINK, SERVICE, SWITCHED),
    ),
    Cause(
        ("processorProblem", "boardFault"),
        (
            "control board in {board} fails its self-test",
            "parity error in the forwarding chip of {board}",
            "heartbeat of the card in {board} lost, card does not boot",
        ),
        (NEIGHBOUR, SWITCHED, CLIENTS),
    ),
    Cause(
        ("timingProblem", "oscillator failure"),
        ("oven oscillator on {board} cannot hold frequency", "clock module in {board} faulty, holdover"),
        (SERVICE, SWITCHED),
    ),
    Cause(
        ("fan unit failure",),
        ("fan tray {few} stands still", "rotor {few} of the fan tray does not turn, replace tray"),
        (RESTARTED,),
    ),
    Cause(
        ("antennaFailure", "VSWR over limit"),
        ("standing wave ratio 3.1 at the feeder of {cell}", "tilt motor of {cell} jammed"),
        (SERVICE, CELL_DOWN),
    ),
    Cause(
        ("inputOutputDeviceError", "diskFailure"),
        ("hard disk {few} of the server module reports bad sectors", "flash card in {board} cannot be written"),
        (POLL, RESTARTED),
    ),
    Cause(
        ("multiplexerProblem", "replaceableUnitMissing"),
        ("multiplexer card in {board} was pulled or has no contact", "line card in {board} not seated"),
        (LINK, SWITCHED),
    ),
    Cause(
        ("batteryFault", "dataSetOrModemError"),
        ("battery string {few} holds {few} % of its rated charge", "modem of the microwave indoor unit defective"),
        (POLL, LINK),
    ),
)

ENVIRONMENTAL = (
    Cause(
        ("temperatureUnacceptable", "highTemperature"),
        ("room at {degrees} C, permitted 40 C", "air at the intake of the cabinet {degrees} C"),
        (RESTARTED, SERVICE, POLL),
    ),
    Cause(
        ("heatingVentilationCoolingProblem", "airConditionerFailure"),
        ("air conditioner {few} in the shelter of {site} stopped", "compressor of the room cooling tripped"),
        (RESTARTED,),
    ),
    Cause(
        ("humidityUnacceptable",),
        ("relative humidity {percent} % at {site}", "condensation in the cabinet of {site}"),
        (SERVICE, LINK),
    ),
    Cause(
        ("floodDetected", "leakDetected"),
        ("water under the raised floor at {site}", "leak sensor {few} of the cable vault wet"),
        (POLL, LINK),
    ),
    Cause(
        ("fireDetected", "smoke"),
        ("smoke detector {few} at {site} triggered", "extinguisher of the battery room released"),
        (POLL, CELL_DOWN),
    ),
    Cause(
        ("enclosureDoorOpen", "intrusion"),
        ("door of the shelter at {site} open for {many} s", "motion inside the fenced compound of {site}"),
        (POLL,),
    ),
    Cause(
        ("mains failure", "commercialPowerLost"),
        ("public grid at {site} gone, diesel not started", "mains voltage of the building below 180 V at {site}"),
        (POLL, CELL_DOWN),
    ),
    Cause(
        ("materialSupplyExhausted", "fuelLow"),
        ("diesel tank of {site} {few} % full", "coolant of the plant room below its mark"),
        (POLL,),
    ),
    Cause(
        ("excessiveVibration", "tower light failure"),
        ("mast at {site} sways beyond its limit in the wind", "obstruction lamp on the mast of {site} dark"),
        (LINK, SLOWED),
    ),
)

EVENTS = (
    Cause(
        ("coldStart", "warmStart"),
        ("agent reinitialised after planned maintenance", "element booted as scheduled, release {release}"),
        (POLL, LINK),
    ),
    Cause(("linkUp",), ("{port} operational again", "operational state of {port} changed to up"), (NEIGHBOUR,)),
    Cause(
        ("configChange", "ciscoConfigManEvent"),
        ("running configuration saved by {user}", "{user} committed {few} changes from {peer}"),
        (NEIGHBOUR, SLOWED),
    ),
    Cause(
        ("loginNotification", "sessionOpened"),
        ("{user} logged in from {peer} over SSH", "session of {user} from {peer} closed normally"),
        (LINK,),
    ),
    Cause(
        ("switchoverComplete", "maintenanceWindow"),
        ("operator {user} moved traffic to the standby, as ordered", "work order begins, {board} locked by {user}"),
        (SWITCHED, CELL_DOWN, LINK),
    ),
    Cause(
        ("softwareInstalled", "backupDone"),
        ("release {release} activated on request of {user}", "nightly backup of the database finished, {many} MB"),
        (RESTARTED, POLL),
    ),
    Cause(
        ("entityInserted", "inventoryChange"),
        ("new card detected in {board}, serial number registered", "pluggable inserted in {port}, part accepted"),
        (LINK, RESTARTED),
    ),
    Cause(
        ("clockSynchronised", "alarmListCleared"),
        ("clock stepped by {few} ms to server {peer}", "{few} entries acknowledged and cleared by {user}"),
        (SLOWED,),
    ),
)
EVENT_SEVERITIES = ("indeterminate", "info", "cleared", "minor")

CAUSES: dict[str, tuple[Cause, ...]] = {
    "EventTrap": EVENTS,
    "communicationsAlarm": COMMUNICATIONS,
    "qualityOfServiceAlarm": QUALITY,
    "processingErrorAlarm": PROCESSING,
    "equipmentAlarm": EQUIPMENT,
    "environmentalAlarm": ENVIRONMENTAL,
}

NOISE = (
    "poll cycle finished, {many} counters collected",
    "NTP reachable, offset {few} ms",
    "{user} opened the performance page",
    "{port} errors since midnight: {few}",
    "temperature of {board} normal",
    "supply A of the shelf in range",
    "configuration unchanged since last audit",
    "{process} alive, uptime {many} h",
    "keepalive answered by {peer}",
    "memory 41 %, processor 34 %",
    "door contact closed",
    "no packet loss to {peer} in the last interval",
    "inventory of {board} read",
)
