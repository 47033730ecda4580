"""What servers log around a fault: the lines behind the lfd sample.

A line begins with the program that wrote it. Names in braces are drawn once for a row's fault and once, differently,
for the parts that are well, so that one row speaks of one broken disk; see `wording.expand`.
"""

from __future__ import annotations

from dataclasses import dataclass

DETAILS: dict[str, tuple[str, ...]] = {
    "core": ("3", "7", "12", "18", "25", "31", "46"),
    "socket": ("0", "1"),
    "pid": ("1187", "2390", "30417", "8842", "19605"),
    "program": ("java", "postgres", "python3", "mysqld", "qemu-kvm", "nginx"),
    "dimm": ("A1", "A3", "B2", "C4", "E1", "G2"),
    "mc": ("0", "1", "2", "3"),
    "address": ("0x1f3a80c40", "0x72be1d000", "0x3c09f5a80", "0xa4471e2c0"),
    "disk": ("sda", "sdb", "sdc", "sdf"),
    "slot": ("2", "4", "5", "11"),
    "nic": ("eno1", "ens3f0", "eth2", "enp65s0f1"),
    "bus": ("0000:3b:00.0", "0000:81:00.1", "0000:5e:00.0", "0000:c1:00.0"),
    "bay": ("1", "2"),
    "sector": ("184467328", "90233600", "3907029100", "51200472"),
    "count": ("14", "37", "112", "409", "2051"),
    "degrees": ("96", "99", "101", "104"),
    "hex": ("0xbe00000000800400", "0xb200000000070005", "0xf200000000010405", "0xba00000000000e0b"),
}


@dataclass(frozen=True)
class Fault:
    """One way a part fails: `lines` in the order they come, each enough to tell; `after` tells nothing by itself."""

    lines: tuple[str, ...]
    after: tuple[str, ...] = ()


PANIC = "kernel: Kernel panic - not syncing: Fatal machine check"
LOGGED = "kernel: mce: [Hardware Error]: Machine check events logged"
SLOW = "systemd[1]: user-{pid}.slice: Watchdog timeout (limit 3min)!"
HUNG = "kernel: INFO: task {program}:{pid} blocked for more than 120 seconds."
RESET = "bmc: Host watchdog expired, action hard reset"
UNRESPONSIVE = "node-agent: heartbeat from host missed {count} times, marking node NotReady"
READ_ONLY = "kernel: EXT4-fs error: remounting filesystem read-only"
KILLED = "systemd[1]: {program}.service: Main process exited, code=killed, status=9/KILL"
DUMPED = "systemd-coredump: Process {pid} ({program}) dumped core"

CPU = (
    Fault(
        (
            "kernel: watchdog: BUG: soft lockup - CPU#{core} stuck for 23s! [{program}:{pid}]",
            "kernel: rcu: INFO: rcu_sched self-detected stall on CPU {core}",
            "kernel: NMI watchdog: Watchdog detected hard LOCKUP on cpu {core}",
        ),
        (HUNG, UNRESPONSIVE, RESET),
    ),
    Fault(
        (
            "kernel: CPU{core}: Core temperature above threshold, cpu clock throttled (total events = {count})",
            "kernel: CPU{core}: Package temperature above threshold, cpu clock throttled",
            "bmc: Sensor P{socket}_TEMP reading {degrees} C, upper critical going high, asserted",
            "bmc: P{socket}_PROCHOT asserted by the processor, frequency limited",
        ),
        (SLOW, UNRESPONSIVE),
    ),
    Fault(
        (
            "kernel: mce: [Hardware Error]: CPU {core}: Machine Check Exception: 5 Bank 0: {hex}",
            "mcelog: Processor context corrupt, instruction fetch unit, socket {socket}",
            "mcelog: MCA: Internal parity error in core {core}",
        ),
        (PANIC, LOGGED, RESET),
    ),
    Fault(
        (
            "mcelog: MCA: Data CACHE Level-2 Data-Read Error on core {core}, corrected {count} times",
            "mcelog: L3 cache threshold exceeded on socket {socket}, core {core} offlined",
            "rasdaemon: cache hierarchy error, TT=Data LL=L2, socket {socket} core {core}",
        ),
        (LOGGED, DUMPED),
    ),
    Fault(
        (
            "bmc: Sensor P{socket}_STATUS: IERR asserted",
            "bmc: CATERR_N asserted, source socket {socket}",
            "bmc: Crashdump of P{socket} collected, MCA_ERR_SRC_LOG valid, three-strike timeout on core {core}",
        ),
        (RESET, UNRESPONSIVE, PANIC),
    ),
    Fault(
        (
            "kernel: smpboot: do_boot_cpu failed(-1) to wakeup CPU#{core}",
            "kernel: CPU{core} failed to report alive state",
            "bmc: POST: P{socket} BIST failed, core {core} mapped out",
        ),
        ("kernel: smp: Brought up 2 nodes with one sibling missing",),
    ),
    Fault(
        (
            "kernel: mce: [Hardware Error]: TSC skew, core {core} drifts against its siblings",
            "kernel: clocksource: tsc marked unstable because of cpu {core} (skew too large)",
            "kernel: TSC found unstable on core {core}, its counter stands still",
        ),
        (HUNG, SLOW),
    ),
    Fault(
        (
            "rasdaemon: UPI link retry count exceeded between socket 0 and socket 1",
            "mcelog: bus and interconnect error, socket {socket}, local processor originated the request",
            "bmc: P{socket} UPI link 1 width degraded",
        ),
        (LOGGED, PANIC),
    ),
    Fault(
        (
            "kernel: traps: {program}[{pid}] trap invalid opcode on core {core}, the same binary runs on other cores",
            "selftest: AVX checksum mismatch on core {core}, other cores agree",
            "selftest: core {core} returned wrong product in {count} of 5000 rounds",
        ),
        (DUMPED, KILLED),
    ),
    Fault(
        (
            "bmc: Sensor VCORE_P{socket} reading 0.41 V, lower non-recoverable going low, asserted",
            "bmc: P{socket} VRHOT asserted, the regulator of the socket is overloaded",
            "kernel: intel_pstate: core {core} held at minimum frequency by firmware request",
        ),
        (RESET, UNRESPONSIVE),
    ),
)

MEMORY = (
    Fault(
        (
            "kernel: EDAC MC{mc}: 1 CE memory read error on SrcID#{socket}_Chan#1_DIMM#0 (page:0x{pid} rank:1)",
            "kernel: EDAC MC{mc}: {count} CE on DIMM_{dimm}, row 18723 bank 2",
            "rasdaemon: corrected errors on DIMM_{dimm} exceed {count} in 24 hours",
            "bmc: Correctable ECC logging limit reached, DIMM_{dimm}",
        ),
        (LOGGED,),
    ),
    Fault(
        (
            "kernel: EDAC MC{mc}: 1 UE on DIMM_{dimm} (addr {address}, uncorrected, non-fatal)",
            "kernel: Memory failure: {address}: recovery action for dirty LRU page: Failed",
            "bmc: Uncorrectable ECC, DIMM_{dimm}, asserted",
        ),
        (PANIC, RESET, KILLED),
    ),
    Fault(
        (
            "kernel: mce: [Hardware Error]: CPU {core}: Machine Check: 0 Bank 7: 8c00004000010090 ADDR {address}",
            "mcelog: MCA: MEMORY CONTROLLER RD_CHANNEL1_ERR, transaction: memory read error, socket {socket}",
            "mcelog: memory scrubbing error, channel 2, corrected count {count}",
        ),
        (LOGGED, PANIC, DUMPED),
    ),
    Fault(
        (
            "kernel: {program} invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0",
            "kernel: Out of memory: Killed process {pid} ({program}) total-vm:68157440kB, anon-rss:64120388kB",
            "kernel: Free swap  = 0kB, active_anon:{sector} inactive_file:12",
            "systemd-oomd: pressure 96.40% > 60.00% for more than 30s with reclaim activity",
        ),
        (KILLED, SLOW, UNRESPONSIVE),
    ),
    Fault(
        (
            "bmc: POST: DIMM_{dimm} training failed, module disabled",
            "bmc: DIMM_{dimm} presence detected, configuration error asserted",
            "kernel: e820: 16384 MB fewer than the SMBIOS table promises, DIMM_{dimm} mapped out",
        ),
        ("kernel: smp: Brought up 2 nodes, {core} threads", RESET),
    ),
    Fault(
        (
            "kernel: {program}: page allocation failure: order:4, mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO)",
            "kernel: SLUB: Unable to allocate on node {socket}, gfp=0x2080020(GFP_ATOMIC)",
            "kernel: warn_alloc: {count} callbacks suppressed, Node {socket} Normal free:1204kB min:90112kB",
        ),
        (HUNG, SLOW),
    ),
    Fault(
        (
            "kernel: BUG: Bad page state in process {program}  pfn:{pid}c",
            "kernel: BUG: Bad page map in process {program}  pte:ffff9b2c{pid} pmd:{sector}, single bit differs",
            "memtest: pattern 0xaaaaaaaa read back as 0xaaaaa8aa at {address}, repeatable",
        ),
        (DUMPED, KILLED),
    ),
    Fault(
        (
            "kernel: soft offline: {address}: page migrated, {count} corrected hits on one row",
            "rasdaemon: row {sector} of DIMM_{dimm} offlined, corrected bits keep recurring",
            "bmc: DIMM_{dimm}: post package repair requested, spare row consumed",
        ),
        (LOGGED, KILLED),
    ),
    Fault(
        (
            "bmc: Sensor DIMM_{dimm}_TEMP reading {degrees} C, upper critical going high, asserted",
            "bmc: P{socket} MEMHOT asserted, refresh rate doubled on the channel of DIMM_{dimm}",
            "kernel: skx_edac: channel of DIMM_{dimm} throttled, closed-loop thermal limit",
        ),
        (SLOW, UNRESPONSIVE),
    ),
    Fault(
        (
            "bmc: Memory mirroring redundancy lost, DIMM_{dimm} deconfigured",
            "kernel: [Hardware Error]: section_type: memory error, node:{socket} card:1 module:{mc} bank:9",
            "bmc: Memory rank sparing, copy from DIMM_{dimm} to spare rank started",
        ),
        (LOGGED, RESET),
    ),
)

HARDWARE = (
    Fault(
        (
            "kernel: blk_update_request: I/O error, dev {disk}, sector {sector} op 0x0:(READ) flags 0x80700",
            "kernel: sd 0:0:{slot}:0: [{disk}] Sense Key : Medium Error [current] Add. Sense: Unrecovered read error",
            "smartd[812]: Device: /dev/{disk}, {count} Currently unreadable (pending) sectors",
            "smartd[812]: Device: /dev/{disk}, FAILED SMART self-check. BACK UP DATA NOW!",
        ),
        (READ_ONLY, HUNG, DUMPED),
    ),
    Fault(
        (
            "kernel: nvme nvme{mc}: I/O 841 QID {slot} timeout, aborting",
            "kernel: nvme nvme{mc}: controller is down; will reset: CSTS=0x3, PCI_STATUS=0x10",
            "kernel: nvme nvme{mc}: Removing after probe failure status: -19",
        ),
        (HUNG, SLOW, READ_ONLY),
    ),
    Fault(
        (
            "bmc: Power Supply {bay}: AC lost, asserted",
            "bmc: PSU{bay} output voltage 10.9 V, lower critical going low",
            "bmc: Power unit redundancy lost, PSU{bay} failure detected",
        ),
        (RESET, UNRESPONSIVE, "kernel: CPU{core}: Package power limit notification (total events = {count})"),
    ),
    Fault(
        (
            "bmc: FAN{slot} reading 0 RPM, lower non-recoverable going low, asserted",
            "bmc: Fan redundancy degraded, module {slot} not spinning",
            "bmc: FAN{slot} tachometer fault, remaining rotors raised to 100 % duty",
        ),
        ("bmc: Sensor INLET_TEMP reading 31 C, upper non-critical", "kernel: CPU{core}: Core temperature/speed normal"),
    ),
    Fault(
        (
            "kernel: {nic}: NIC Link is Down, PHY not responding",
            "kernel: NETDEV WATCHDOG: {nic}: transmit queue {slot} timed out",
            "kernel: ixgbe {bus} {nic}: Hardware Error: Tx Unit Hang, resetting adapter",
            "kernel: mlx5_core {bus}: health poll failed, device's firmware is in error state",
        ),
        (UNRESPONSIVE, SLOW),
    ),
    Fault(
        (
            "kernel: pcieport {bus}: AER: Uncorrected (Fatal) error received",
            "kernel: pcieport {bus}: PCIe Bus Error: severity=Corrected, type=Data Link Layer, BadTLP, {count} repeats",
            "bmc: PCIe slot {slot}: bus fatal error, device {bus}",
            "kernel: {bus}: link width x4 where x16 is expected, retraining failed",
        ),
        (RESET, LOGGED, PANIC),
    ),
    Fault(
        (
            "kernel: megaraid_sas {bus}: Controller in fault state, resetting adapter scsi0",
            "storcli: VD 0/0 is now DEGRADED, PD 08:{slot} failed",
            "storcli: BBU on controller 0 has failed, cache switched to write-through",
            "mdadm[1033]: Fail event detected on md device /dev/md0, component device /dev/{disk}",
        ),
        (HUNG, READ_ONLY, SLOW),
    ),
    Fault(
        (
            "kernel: ata{slot}.00: exception Emask 0x10 SAct 0x0 SErr 0x4090000 action 0xe frozen",
            "kernel: ata{slot}: SATA link down (SStatus 0 SControl 300)",
            "kernel: ata{slot}: limiting SATA link speed to 1.5 Gbps after {count} CRC errors on the cable",
        ),
        (READ_ONLY, HUNG),
    ),
    Fault(
        (
            "kernel: NVRM: Xid (PCI:{bus}): 79, GPU has fallen off the bus.",
            "nvidia-persistenced: device {bus} lost, row remapper of its framebuffer failed",
            "kernel: NVRM: GPU at {bus}: RmInitAdapter failed! (0x26:0x56:1463)",
        ),
        (KILLED, DUMPED),
    ),
    Fault(
        (
            "bmc: Sensor BB_3.3V reading 2.71 V, lower critical going low, asserted",
            "bmc: CMOS battery voltage low, 2.1 V",
            "bmc: I2C bus 4 stuck, backplane of bays 8 to 15 does not answer",
        ),
        (RESET, "chronyd[741]: System clock wrong by -{sector}.4 seconds"),
    ),
)

FAULTS: dict[str, tuple[Fault, ...]] = {"CPU": CPU, "Memory": MEMORY, "Hardware": HARDWARE}

# lines of a healthy machine; many name a part that works
NOISE = (
    "kernel: microcode: updated early to revision 0x2006e05, core {core}",
    "kernel: CPU{core}: Core temperature/speed normal",
    "kernel: Memory: 263012116K/268119052K available (16391K kernel code)",
    "kernel: EDAC MC{mc}: Giving out device to module skx_edac controller Skylake Socket#{socket} IMC#0",
    "rasdaemon: memory controller events enabled",
    "kernel: sd 0:0:{slot}:0: [{disk}] Write cache: enabled, read cache: enabled, supports DPO and FUA",
    "smartd[812]: Device: /dev/{disk}, self-test completed without error",
    "kernel: {nic}: NIC Link is Up 10 Gbps Full Duplex, Flow Control: None",
    "bmc: Power Supply {bay}: presence detected, input 230 V",
    "bmc: FAN{slot} reading 7840 RPM, ok",
    "bmc: DIMM_{dimm} temperature 41 C, ok",
    "bmc: P{socket}_TEMP reading 58 C, ok",
    "kernel: pcieport {bus}: PME: Signaling with IRQ 34",
    "sshd[{pid}]: Accepted publickey for ops from 10.20.4.17 port 50422",
    "CRON[{pid}]: (root) CMD (/usr/lib64/sa/sa1 1 1)",
    "systemd[1]: Started Daily Cleanup of Temporary Directories.",
    "chronyd[741]: Selected source 10.20.0.5",
    "kernel: perf: interrupt took too long (2511 > 2500), lowering kernel.perf_event_max_sample_rate to 79750",
    "kernel: TCP: request_sock_TCP: Possible SYN flooding on port 443. Sending cookies.",
    "kubelet[2217]: I0412 operationExecutor.UnmountVolume succeeded for volume scratch",
    "dockerd[1902]: container {program}-{pid} restarted, OOMKilled=false",
    "node-agent: cpu usage {core}%, memory usage 61%, disk usage 48%",
    "bmc: SEL cleared by administrator",
    'kernel: audit: type=1400 apparmor="STATUS" operation="profile_replace" profile="unconfined"',
)
