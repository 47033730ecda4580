"""One dataclass is the command line, its help and the record of a run.

A field says once how its option is spelled, what it takes and what it is about. What an option is about decides where
it stands in `--help`, whether it can change a run's steps, and so whether it is part of the run's `identity`, which
names the run folder and decides whether a command continues an earlier run. Nothing heavy is imported here, so
`--help` is quick.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import plugins
import settings
from env import ENV_ALIASES, ENV_DICT, find_env, read_settings
from errors import UsageError, unknown_choice
from options import check, flag, option, read_extra_body, read_text, reader_of
from registry import (
    AGENTS,
    CHOOSERS,
    CLIENTS,
    ENCODERS,
    OF_EVERY_POLICY,
    POLICIES,
    ROSTER,
    AgentRow,
    Row,
    defaults_of,
    find_agent,
    find_policy,
    method_rows,
)

# What an option can be about -> (its heading in --help, the part of a run's name that it shows in).
ABOUT = {
    "stream": ("the stream", "env"),
    "method": ("the agent and its policy", "agent"),
    "tuning": ("how agent and policy learn", "agent"),
    "llm": ("the LLM", "llm"),
    "task": ("options of single tasks", "env"),
    "server": ("where LLMs are, and what is kept of them", "agent"),
    "run": ("the run", ""),
}
TRACKERS = ("none", "tensorboard", "wandb")
PRECISIONS = ("float32", "bfloat16")
DEVICES = ("auto", "cpu", "cuda", "mps")
EMBEDDED = "embedded"  # the encoder that ships as a package; also the name of the serving mode that needs no LLM
EMBEDDED_READER = "embedded-reader"
OF_A_MEMBER = (  # the options that each LLM of --llms may have of its own
    *("serving_mode", "model_path", "max_new_tokens", "temperature", "top_p", "thinking"),
    *("server", "port", "generate_batch", "timeout", "max_retries"),
)
TWO_WIKI = ("2wiki",)
JUDGED = ("2wiki", "toolbench")
JUDGES = ("judge_llm", "judge_serving_mode", "judge_server", "judge_port")
STREAMBENCH = ("spider", "bird", "cosql", "ddxplus", "hotpotqa", "toolbench", "ds1000")


@dataclass(frozen=True)
class Config:
    """Every option of main.py, with the paper's defaults.

    Options that were left open (None) and that a row of the registry has a default for are filled in, so that a
    default that was typed is the default.
    """

    env: str = option(
        "ddxplus", "the task", "stream", choices=tuple(ENV_DICT), places="FILE.py:CLASS", shown="no", fixed=True
    )
    seed: int = option(
        0,
        "seed of everything random; -1 makes five runs, seeds 0 to 4",
        "stream",
        at_least=-1,
        at_most=2**32 - 1,
        shown="no",
        fixed=True,
    )
    shuffle: bool = option(False, "order the stream by the seed (default: the file's order)", "stream")
    limit: int | None = option(None, "only the first N steps of the stream", "stream", at_least=1, metavar="N")
    data: str = option(
        "auto",
        "the rows: auto, official, sample, a folder, a .jsonl, .csv or .parquet file, hf:OWNER/NAME[[:CONFIG]:SPLIT]",
        "stream",
        metavar="WHICH",
        fixed=True,
    )
    columns: str | None = option(
        None,
        "which columns of --data are the task's fields, as in task=text,label=category",
        "stream",
        metavar="FIELD=COLUMN,...",
    )

    agent: str = option("cbr", "the agent", "method", choices=tuple(AGENTS), places="FILE.yaml", shown="no", fixed=True)
    bandit: str | None = option(
        None,
        "the policy that ranks recalled cases",
        "method",
        choices=tuple(POLICIES),
        places="FILE.py:CLASS",
        shown="no",
    )
    bandit_settings: str | None = option(
        None,
        "the settings of a policy of your own; each is an option of its own name, too",
        "method",
        metavar="'NAME=VALUE ...'",
        shown="words",
    )
    comk: int | None = option(None, "k, the number of cases put into the prompt", "method", at_least=1)
    recall_size: int = option(32, "R, the number of nearest cases that the policy ranks", "method", at_least=1)
    examples: str | None = option(
        None,
        "few-shot: training or validation rows to show, as --data takes them",
        "method",
        metavar="FILE",
        shown="path",
    )
    order: str | None = option(
        None,
        "the order of the k nearest cases in the prompt",
        "method",
        choices=("similar_last", "similar_first", "random"),
    )
    feedback: str | None = option(
        None,
        "of the k chosen cases show all, or only those whose answer was right or wrong; hidden: all, as if right "
        "(default: all)",
        "method",
        choices=("all", "correct", "incorrect", "hidden"),
    )
    keep: str | None = option(
        None, "agents that keep whole outputs: of which steps", "method", choices=("successes", "everything")
    )
    judge: str | None = option(
        None,
        "reasoning-bank: who says whether a step was right, when it is learned from",
        "method",
        choices=("feedback", "self"),
    )
    control: str | None = option(
        None,
        "what the cases are worth: empty shows the method's prompt without any, random shows as many by chance",
        "method",
        choices=("empty", "random"),
    )
    null_arm: str | None = option(
        None,
        "EvidenceLogUCB: whether showing nothing is a choice too, so that cases which hurt are left out; explore tries "
        "it again and again (default: on)",
        "method",
        choices=("off", "on", "explore"),
    )
    embedding_model_path: str = option(
        EMBEDDED,
        "recall encoder: Hugging Face id, folder or embedded",
        "method",
        metavar="MODEL",
        shown="path",
        tuned=True,
    )
    reranker_model_path: str = option(
        EMBEDDED,
        "ranking encoder: Hugging Face id, folder or embedded",
        "method",
        metavar="MODEL",
        shown="path",
        tuned=True,
    )
    precision: str = option(
        "float32",
        "in which the encoders multiply while they encode; the ranking encoder is trained in float32",
        "method",
        choices=PRECISIONS,
        later=True,
    )
    bank_from: str | None = option(
        None,
        "start with the cases of another run's folder or of a bank (scripts/bank.py)",
        "method",
        metavar="RUN_OR_BANK",
        shown="path",
        later=True,
    )
    policy_from: str | None = option(
        None,
        "start with the policy that another, finished run has learned",
        "method",
        metavar="RUN",
        shown="path",
        later=True,
    )
    retain: str = option(
        "on",
        "off: keep nothing of this run's steps, the bank stays as it came",
        "method",
        choices=("on", "off"),
        later=True,
    )
    bank_limit: int | None = option(
        None, "keep at most N cases (default: all)", "method", at_least=1, metavar="N", later=True
    )
    forget: str = option(
        "oldest",
        "which case goes where --bank_limit has one too many: the oldest, or the one that was least often followed by "
        "success",
        "method",
        choices=("oldest", "least_useful"),
        later=True,
    )
    discover_strategy: str = option(
        "ucb",
        "cbrdiscover: when to ask for the truth",
        "method",
        choices=("random", "ucb", "explore", "exploit", "failing", "ucb_failing"),
    )
    budget_ratio: float = option(0.1, "cbrdiscover: the share of steps that may ask", "method", at_least=0, at_most=1)
    queue_size: int = option(32, "cbrdiscover: length of the window of past scores", "method", at_least=1)
    skip_steps: int = option(16, "cbrdiscover: steps before it may ask", "method", at_least=0)

    regularization: float = option(0.1, "lambda, the ridge term of A", "tuning", flag="lambda", alias="lamdba", above=0)
    exploration: float | None = option(
        None, "nu, the weight of the exploration bonus", "tuning", flag="nu", at_least=0, tuned=True
    )
    prior_strength: float = option(
        5.0, "EvidenceLogUCB: how many observations its first weights are worth", "tuning", above=0
    )
    evidence_width: float = option(
        0.07, "EvidenceLogUCB: how much less of cosine makes a past query count for 1/e", "tuning", above=0
    )
    half_life: float | None = option(
        None,
        "EvidenceLogUCB: after how many more steps one counts half, so that what has changed is forgotten (default: "
        "never)",
        "tuning",
        above=0,
        metavar="STEPS",
        later=True,
    )
    centre: str = option(
        "off",
        "NeuralLinLogUCB: set features off against the nearest case's, or the recalled ones' mean, in bonus and w",
        "tuning",
        choices=("off", "nearest", "mean"),
        later=True,
    )
    w_learning_rate: float | None = option(
        None,
        "NeuralLinLogUCB: the step size of w between two training steps (default: learning_rate / B)",
        "tuning",
        at_least=0,
        later=True,
    )
    bonus: str = option(
        "paper",
        "NeuralLinLogUCB: nu times the width added to the chance of success, or to the logit, by its posterior",
        "tuning",
        choices=("paper", "posterior"),
        later=True,
    )
    batch_size: int = option(32, "B, the number of feedbacks between two training steps", "tuning", at_least=1)
    learning_rate: float | None = option(
        None, "of the policy's encoder and head, or of reinforce's LoRA", "tuning", at_least=0, tuned=True
    )
    weight_decay: float = option(1e-5, "of the policy's encoder and head, or reinforce's LoRA", "tuning", at_least=0)
    history_limit: int = option(
        0,
        "after a training step encode at most M pairs of the history again, the latest and a weighted sample; 0: all",
        "tuning",
        at_least=0,
        metavar="M",
        later=True,
    )
    refresh: str = option(
        "sync",
        "when the policy trains: at once, or while the LLM goes on answering, in force B feedbacks later",
        "tuning",
        choices=("sync", "overlap"),
        later=True,
    )
    kl_coef: float = option(
        0.1, "reinforce: beta, the weight of staying close to the model as it came", "tuning", at_least=0, tuned=True
    )

    llm: str | None = option(
        None,
        "the LLM's name at its server, hf: its id or folder (default: the embedded reader)",
        "llm",
        metavar="NAME",
        shown="no",
        fixed=True,
    )
    serving_mode: str | None = option(
        None,
        "default: embedded when no --llm is named, else vllm",
        "llm",
        choices=tuple(CLIENTS),
        shown="no",
        fixed=True,
    )
    llms: str | None = option(
        None,
        "mam-stream-icl, mam-cbr: the LLMs that answer, each with options of its own, as in "
        "'qwen3-8b port=8001, gpt-4o serving_mode=openai temperature=0'",
        "method",
        metavar="NAME,NAME,...",
        shown="no",
    )
    who: str | None = option(
        None,
        "which of --llms answers a step: each in turn, by Thompson sampling over its successes (dynamic: of late), by "
        "chance, or by the policy of mam-cbr (default: mam-cbr: policy, mam-stream-icl: round_robin)",
        "method",
        choices=tuple(CHOOSERS),
        later=True,
    )
    model_path: str | None = option(
        None,
        "hf: Hugging Face id or folder of the weights (default: what --llm says)",
        "llm",
        metavar="MODEL",
        shown="no",
    )
    max_new_tokens: int = option(2048, "longest answer, in tokens", "llm", at_least=1)
    temperature: float | str | None = option(
        None, "sampling temperature; none leaves it to the server", "llm", at_least=0, metavar="NUMBER"
    )
    top_p: float | str | None = option(
        None, "nucleus sampling; none leaves it to the server", "llm", above=0, at_most=1, metavar="NUMBER"
    )
    thinking: str = option(
        "auto",
        "vllm, hf: whether a model that can think before it answers does; auto: as in the paper's runs, not",
        "llm",
        choices=("auto", "on", "off"),
        later=True,
    )
    extra_body: str | None = option(
        None,
        "a JSON object that every request has beside or instead of what it says anyway; null leaves a setting out",
        "llm",
        metavar="JSON",
        shown="hash",
        later=True,
    )
    system_prompt: str | None = option(
        None, "a system message before each conversation", "llm", metavar="TEXT_OR_@FILE", shown="hash", later=True
    )

    web_search: bool = option(
        False, "2wiki: also offer Google search, by Serper (needs SERPER_API_KEY)", "task", tasks=TWO_WIKI
    )
    retrieval_method: str = option(
        "bm25",
        "2wiki: how a service that the run starts itself searches",
        "task",
        choices=("bm25", "dense"),
        tasks=TWO_WIKI,
    )
    retrieval_url: str | None = option(
        None,
        "2wiki: the retrieval service to use (default: one of the run's own)",
        "task",
        metavar="URL",
        tasks=TWO_WIKI,
    )
    judge_llm: str | None = option(
        None,
        "2wiki, toolbench: the LLM that judges answers (default: none, answers must match a label)",
        "task",
        metavar="NAME",
        tasks=JUDGED,
    )
    judge_serving_mode: str | None = option(
        None,
        "how the judge is served (default: as the LLM, or vllm)",
        "task",
        choices=("openai", "vllm"),
        tasks=JUDGED,
    )
    stream: str = option(
        "dtlbench",
        "StreamBench's tasks: whose setting; streambench shuffles by the seed, bird has no evidence, SQL gets a second "
        "score, cases of hotpotqa have their paragraphs",
        "task",
        choices=("dtlbench", "streambench"),
        tasks=STREAMBENCH,
    )
    case_paragraphs: bool = option(
        False, "hotpotqa: show cases with their paragraphs, as StreamBench does", "task", tasks=("hotpotqa",)
    )
    ds1000_python: str | None = option(
        None,
        "ds1000: the Python that runs programs, which decides the libraries' versions (default: this one)",
        "task",
        metavar="PATH",
        tasks=("ds1000",),
    )
    task_settings: str | None = option(
        None,
        "the settings that a task of your own declares; each is an option of its own name, too",
        "task",
        metavar="'NAME=VALUE ...'",
        shown="words",
        tasks=(),
    )

    server: str = option("127.0.0.1", "vllm: host name or URL of the server", "server")
    port: int = option(8000, "vllm: port of the server", "server", at_least=1, at_most=65535)
    judge_server: str | None = option(
        None, "vllm: the judge's host name or URL (default: --server)", "server", metavar="SERVER", tasks=JUDGED
    )
    judge_port: int | None = option(
        None, "vllm: the judge's port (default: --port)", "server", at_least=1, at_most=65535, tasks=JUDGED
    )
    generate_batch: int = option(
        8, "hf: how many answers an agent that does not learn generates at once", "server", at_least=1, metavar="N"
    )
    timeout: float = option(600.0, "seconds to wait for one answer of the LLM", "server", above=0)
    max_retries: int = option(5, "how often a failed request is sent again before the run stops", "server", at_least=0)
    concurrency: int = option(
        1,
        "how many questions are at the server at once; agents that learn then play in rounds of N, whose feedback "
        "comes together",
        "server",
        at_least=1,
        metavar="N",
    )
    cache: str | None = option(None, "keep the LLM's answers in this SQLite file", "server", metavar="FILE")
    log_requests: bool = option(False, "keep whole requests and replies in the run's requests.jsonl", "server")

    on_refused: str = option(
        "stop",
        "a prompt that is too long or filtered, a judge without a verdict: stop, or skip the step, unscored",
        "run",
        choices=("stop", "skip"),
    )
    alfworld_path: str | None = option(
        None,
        "alfworld: the folder of the games (default: ALFWORLD_DATA, or ~/.cache/alfworld)",
        "run",
        metavar="FOLDER",
        tasks=("alfworld", "alfworld-react"),
    )
    allow_unsandboxed: bool = option(
        False,
        "ehr, ds1000: where no sandbox works, run the LLM's code with access to all that you can read",
        "run",
        tasks=("ehr", "ds1000"),
    )
    prices: str | None = option(
        None,
        "a YAML file with the currency and each LLM's price of a million tokens, as in 'qwen3-8b: {input: 0.05, "
        "output: 0.2}': says what the run costs",
        "run",
        metavar="FILE",
    )
    max_cost: float | None = option(
        None, "stop a run, to be continued, once it has cost this much (needs --prices)", "run", above=0, metavar="SUM"
    )
    output_dir: str = option("results", "where run folders go", "run", metavar="FOLDER")
    overwrite: bool = option(False, "start over where a run folder exists", "run")
    checkpoint_seconds: float = option(
        60.0, "time between checkpoints; steps since the last are replayed", "run", at_least=0
    )
    final: str = option(
        "small",
        "what a finished run keeps in final/ for others to start from: small is the bank, and the policy unless it has "
        "trained an encoder; all is its weights, too",
        "run",
        choices=("small", "all", "none"),
    )
    device: str = option("auto", "where encoders and policies run", "run", choices=DEVICES)
    threads: int = option(
        0,
        "CPU threads of encoders and policies; 0: OMP_NUM_THREADS, else one for the embedded encoder, all for others",
        "run",
        at_least=0,
        metavar="N",
    )
    track: str = option("none", "also send metrics to a tracker", "run", choices=TRACKERS)
    debug: bool = option(False, "show tracebacks", "run")

    def __post_init__(self) -> None:
        self._set("env", ENV_ALIASES.get(self.env, self.env))
        for spec in dataclasses.fields(self):
            check(spec, getattr(self, spec.name))
        self._find_places()
        if self.as_streambench:
            self._set("shuffle", True)
            self._set("case_paragraphs", self.case_paragraphs or self.env == "hotpotqa")
        self._settle_requests()
        if self.agent_row.who != "one":
            self._gather_llms()
        else:
            self._settle_llm()
        if self.agent == "reinforce":
            self._check_reinforce()
        if self.env in TWO_WIKI:
            self._check_two_wiki()
        if self.is_judged:
            self._check_judge()
        if self.agent_row.retrieve == "fixed" and self.examples is None:
            raise UsageError(f"--agent {self.agent} needs --examples FILE, rows for training that the stream has not")
        if self.feedback == "hidden" and self.agent_row.render not in ("cases", "feedback", "good_and_bad"):
            raise UsageError(f"--feedback hidden: --agent {self.agent} shows its cases in no other way than its own")
        if self.agent_row.retrieve == "pairs":
            if self.null_arm not in (None, "off"):
                why = "chooses a case with its LLM, and shows one always"
                raise UsageError(f"--null_arm {self.null_arm}: --agent {self.agent} {why}")
            self._set("null_arm", "off")
        if self.max_cost is not None and self.prices is None:
            raise UsageError("--max_cost needs --prices FILE, which says what tokens cost")
        if self.feedback == "all":
            self._set("feedback", None)
        if self.agent_row.where == "agents.turns:TurnAgent" and (self.bank_from or self.bank_limit):
            raise UsageError(
                f"--agent {self.agent} keeps turns beside its bank: it takes no --bank_from, no --bank_limit"
            )
        if self.forget != FIELDS["forget"].default and self.bank_limit is None:
            raise UsageError(f"--forget {self.forget} needs --bank_limit N: without a limit no case is forgotten")
        for name, value in self.row_defaults().items():
            if name in FIELDS and getattr(self, name) is None:
                self._set(name, value)
        self._settle_settings()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _find_places(self) -> None:
        """Write places outside the checkout so that they hold in every folder; raises UserError where none is there."""
        for name in ("env", "agent", "bandit"):
            if plugins.is_outside(getattr(self, name)):
                self._set(name, plugins.resolve(getattr(self, name)))
        if plugins.is_outside(self.env):
            find_env(self.env)
        if self.bandit is not None:
            find_policy(self.bandit)
        unknown = sorted({*self.agent_row.options, *self.agent_row.defaults} - FIELDS.keys())
        if unknown:
            raise UsageError(f"--agent {self.agent}: {unknown_choice('option', unknown[0], FIELDS)}")

    def _settle_settings(self) -> None:
        """Keep of a task's and a policy's own settings those that are off their default, in one form."""
        if self.task_settings is not None:
            declared = settings.of_class(find_env(self.env).Settings)
            self._set("task_settings", settings.write(read_settings(self.env, self.task_settings), declared))
        if self.bandit_settings is not None and self._ranks:
            self._set("bandit_settings", settings.write(self.policy_settings, declared_by_policy(self.bandit)))

    @property
    def _ranks(self) -> bool:
        """Whether a policy ranks cases."""
        return any("bandit" in row.options for row in self.rows)

    @property
    def policy_settings(self) -> dict[str, Any]:
        """The values of the settings that a policy outside the checkout has of its own."""
        whose = f"the policy {plugins.label(str(self.bandit))}"
        return settings.read(self.bandit_settings, declared_by_policy(self.bandit), whose)

    @property
    def agent_row(self) -> AgentRow:
        return find_agent(self.agent)

    @property
    def is_judged(self) -> bool:
        """Whether the task asks a judge where one is named; a task of one's own says so by its class."""
        if self.env in JUDGED:
            return True
        return any(getattr(self, name) for name in JUDGES) and find_env(self.env).judged

    def _settle_llm(self) -> None:
        """Fill in how the LLM is served, and the name of the one that needs none."""
        if self.serving_mode is None:
            self._set("serving_mode", "vllm" if self.llm else EMBEDDED)
        if self.serving_mode == EMBEDDED:
            if self.llm not in (None, EMBEDDED_READER):
                advice = f"drop --llm {self.llm}, or choose openai, vllm or hf"
                raise UsageError(f"--serving_mode embedded is not an LLM: {advice}")
            self._set("llm", EMBEDDED_READER)
        elif self.llm is None:
            what = "its Hugging Face id or folder" if self.serving_mode == "hf" else "the model's name at the server"
            raise UsageError(f"--serving_mode {self.serving_mode} needs --llm NAME, {what}")

    def _settle_requests(self) -> None:
        """Keep what requests have of the user's own in one form, a file's text instead of its name."""
        if self.extra_body is not None:
            self._set("extra_body", json.dumps(read_extra_body(self.extra_body), sort_keys=True, ensure_ascii=False))
        if self.system_prompt is not None:
            self._set("system_prompt", read_text("system_prompt", self.system_prompt))
        if self.thinking != "auto" and self.serving_mode == "openai":
            own = """--extra_body '{"reasoning_effort": "low"}'"""
            raise UsageError(f"--thinking {self.thinking}: each API has a word of its own for it; say it, as in {own}")

    @property
    def system_message(self) -> str | None:
        """The text of --system_prompt."""
        text = self.system_prompt
        return text[1:] if text is not None and text.startswith("@@") else text

    def _gather_llms(self) -> None:
        """Let `llm` name the LLMs of --llms with what can change their answers: of several there is no one."""
        if self.llms is None:
            raise UsageError(f"--agent {self.agent} needs --llms NAME,NAME,..., the LLMs that answer")
        own = self.agent_row.who
        if self.who == "policy" != own:
            raise UsageError(f"--who policy: --agent {self.agent} has no policy, --agent mam-cbr has one")
        if self.who == own:
            self._set("who", None)
        embedded = all(member.serving_mode == EMBEDDED for member in self.members)
        if self.serving_mode is None:
            self._set("serving_mode", EMBEDDED if embedded else "vllm")
        names = ",".join(describe_member(entry) for entry in read_members(self.llms))
        if self.llm not in (None, names):
            raise UsageError(f"--llms names the LLMs of --agent {self.agent}: drop --llm {self.llm}")
        self._set("llm", names)

    @property
    def members(self) -> list[Config]:
        """The command line of each LLM of --llms, where several answer; else none."""
        if self.llms is None or self.agent_row.who == "one":
            return []
        made = []
        for name, own in read_members(self.llms):
            mode = EMBEDDED if name == EMBEDDED_READER else self.serving_mode or "vllm"
            common = {"agent": "zero-shot", "llms": None, "who": None, "model_path": None}
            made.append(dataclasses.replace(self, **common | {"llm": name, "serving_mode": mode} | own))
        return made

    @property
    def as_streambench(self) -> bool:
        """Whether a task that StreamBench has too is played in its setting."""
        return self.stream == "streambench" and self.env in STREAMBENCH

    def _check_reinforce(self) -> None:
        if self.serving_mode != "hf":
            advice = "add --serving_mode hf --llm ID_OR_FOLDER"
            raise UsageError(f"--agent reinforce trains the LLM itself, so main.py has to run it: {advice}")
        if self.cache:
            raise UsageError("--agent reinforce changes the LLM as it goes: answers kept by --cache would be stale")

    def _check_two_wiki(self) -> None:
        if self.retrieval_url and self.retrieval_method != FIELDS["retrieval_method"].default:
            raise UsageError(
                f"--retrieval_method {self.retrieval_method} is for a service that the run starts itself: drop it, or "
                f"drop --retrieval_url {self.retrieval_url}"
            )

    def _check_judge(self) -> None:
        judge = [name for name in ("judge_serving_mode", "judge_server", "judge_port") if getattr(self, name)]
        if judge and not self.judge_llm:
            raise UsageError(f"--{judge[0]} is about a judge, and there is none: add --judge_llm NAME")

    # -- what can change the steps -----------------------------------------------------------------------------------

    @property
    def rows(self) -> list[Row]:
        """The rows of the registry that are in force."""
        client = CLIENTS[str(self.serving_mode)] if self.agent_row.who == "one" else ROSTER
        return [*method_rows(self.agent, self.bandit, self.env), client]

    def row_defaults(self) -> dict[str, Any]:
        """What the rows in force take for options that are left open."""
        return defaults_of(self.rows, self.env)

    @property
    def learns(self) -> bool:
        """Whether a step can depend on those before it; if not, it does not matter how many are under way at once."""
        row = self.agent_row
        return row.can_learn(None if row.retrieve == "nothing" else self.control)

    @property
    def _asks_at_once(self) -> bool:
        """Whether the LLM's client can work on several requests at once."""
        modes = [CLIENTS[str(config.serving_mode)] for config in self.members or [self]]
        return all("concurrency" in row.reads for row in modes)

    @property
    def in_flight(self) -> int:
        """How many requests the LLM is to work on at once."""
        return self.concurrency if self._asks_at_once and not self.agent_row.looks_up else 1

    def identity(self) -> dict[str, Any]:
        """The settings that can change this run's steps, by field name."""
        chosen = {"agent", "llm", "serving_mode"}.union(*(row.options for row in self.rows))
        chosen |= {"task_settings"} if self.task_settings else set()
        chosen |= {"bandit_settings"} if self.bandit_settings and "bandit" in chosen else set()
        if self.learns and self.concurrency > 1:  # rounds: batched feedback
            chosen.add("concurrency")
        own = [spec for spec in dataclasses.fields(self) if spec.name in chosen or self._is_of_stream(spec)]
        values = {spec.name: self._called(spec.name) for spec in own}
        return {
            name: value
            for name, value in values.items()
            if not FIELDS[name].metadata.get("later") or value != FIELDS[name].default
        }

    def _called(self, name: str) -> Any:
        """The value of a field, a place outside the checkout by its label: files may be elsewhere tomorrow."""
        value = getattr(self, name)
        return plugins.label(value) if name in ("env", "agent", "bandit") and value is not None else value

    def _is_of_stream(self, spec: dataclasses.Field[Any]) -> bool:
        about = spec.metadata["about"]
        return about == "stream" or (about == "task" and self._is_of_task(spec))

    def _is_of_task(self, spec: dataclasses.Field[Any]) -> bool:
        """Whether this task reads an option that only some do."""
        return self.env in spec.metadata["tasks"] or (spec.name in JUDGES and self.is_judged)

    def without_effect(self, typed: Iterable[str]) -> list[str]:
        """One line for each of the `typed` options (field names) that changes nothing in this run."""
        judge = list(CLIENTS.values()) if self.judge_llm and self.is_judged else []
        used = self.identity().keys() | {name for row in self.rows for name in row.options}
        used |= {name for row in [*self.rows, *judge] for name in row.reads}
        used = used - {"concurrency"} | ({"concurrency"} if self.learns or self._asks_at_once else set())
        notes = []
        for spec in dataclasses.fields(self):
            is_of_task = "tasks" not in spec.metadata or self._is_of_task(spec)
            if spec.name not in typed or spec.name in used:
                continue
            if spec.metadata.get("shown") == "words" and getattr(self, spec.name) is None:  # its settings' defaults
                continue
            if is_of_task and (spec.metadata["about"] == "run" or spec.name.startswith("judge_")):
                continue
            notes.append(f"--{flag(spec)} has no effect {self._reason(spec)}")
        if "recall_size" in used and self.comk is not None and self.comk > self.recall_size:
            notes.append(
                f"--recall_size {self.recall_size} is below --comk {self.comk}: {self.comk} cases are recalled"
            )
        return notes

    def _reason(self, spec: dataclasses.Field[Any]) -> str:
        about = spec.metadata["about"]
        if "tasks" in spec.metadata:
            return f"on the task {plugins.label(self.env)}"
        if about in ("llm", "server"):
            return f"with --serving_mode {self.serving_mode}"
        if self._ranks and any(spec.name in row.options for row in POLICIES.values()):
            return f"with --bandit {plugins.label(str(self.bandit))}"
        return f"with --agent {plugins.label(self.agent)}"

    # -- the run's name ----------------------------------------------------------------------------------------------

    def run_name(self) -> str:
        """The run's folder below --output_dir: env / agent-and-bandit / llm / seed, settings off their default too."""
        identity = self.identity()
        agent = "-".join(str(identity[name]) for name in ("agent", "bandit") if name in identity)
        parts = {"env": [identity["env"]], "agent": [agent], "llm": [_path_safe(self.llm)]}
        for name, text in self.off_default(identity).items():
            parts[ABOUT[FIELDS[name].metadata["about"]][1]].append(text)
        return "/".join([*(_shorten(",".join(part)) for part in parts.values()), f"seed{self.seed}"])

    def off_default(self, names: Iterable[str]) -> dict[str, str]:
        """Those of the fields `names` that are off their default and show in names, each as a name shows it."""
        defaults = {spec.name: spec.default for spec in dataclasses.fields(self)} | self.row_defaults()
        found = {}
        for spec in dataclasses.fields(self):
            value, shown = getattr(self, spec.name), spec.metadata.get("shown", "flag")
            if spec.name in names and shown != "no" and value != defaults[spec.name]:
                text = Path(value).name if shown == "path" else _path_safe(value)
                text = hashlib.sha256(value.encode()).hexdigest()[:8] if shown == "hash" else text
                words = flag(spec) if value is True else f"{flag(spec)}={text}"
                found[spec.name] = ",".join(map(_path_safe, shlex.split(value))) if shown == "words" else words
        return found


FIELDS = {spec.name: spec for spec in dataclasses.fields(Config)}


def declared_by_policy(bandit: str | None) -> dict[str, settings.Setting]:
    """What the constructor of a policy outside the checkout takes that is no option of main.py, by name."""
    if bandit is None or not plugins.is_outside(bandit):
        return {}
    return settings.of_constructor(find_policy(bandit).load(), {*FIELDS, *OF_EVERY_POLICY, *ENCODERS})


def read_members(text: str) -> list[tuple[str, dict[str, Any]]]:
    """`--llms`: each LLM's name and options of its own. Raises UsageError."""
    members = []
    for entry in text.split(","):
        name, *words = entry.split() or [""]
        options = {}
        for word in words:
            option, equals, value = word.partition("=")
            if not equals or option not in OF_A_MEMBER:
                raise UsageError(f"--llms {name} {word}: write OPTION=VALUE with one of {', '.join(OF_A_MEMBER)}")
            try:
                options[option] = reader_of(get_type_hints(Config)[option])(value)
            except ValueError:
                raise UsageError(f"--llms {name} {word}: {value!r} is no value of --{option}") from None
        if not name or "=" in name:
            raise UsageError(f"--llms {text}: write NAME,NAME,..., each with its own options after a blank")
        members.append((name, options))
    return members


def describe_member(member: tuple[str, dict[str, Any]]) -> str:
    """A member's name with those of its own options that can change its answers."""
    name, options = member
    return " ".join([name, *(f"{option}={options[option]}" for option in sorted(options.keys() & set(about("llm"))))])


def about(*subjects: str) -> tuple[str, ...]:
    """The names of the fields that are about one of `subjects`."""
    return tuple(name for name, spec in FIELDS.items() if spec.metadata["about"] in subjects)


def _path_safe(value: Any) -> str:
    text = str(value).strip("/").replace("/", "_").replace(",", "_")
    return text.replace(".", "_") if text in (".", "..") else text


def _shorten(name: str, limit: int = 150) -> str:
    """`name`, or its beginning and a hash where it is too long for a folder's name (model paths can be)."""
    if len(name) <= limit:
        return name
    return f"{name[:limit]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"
