"""ds1000: programs that cheat, hang or break score 0 and leave nothing; right ones score 1; what a start tells."""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import main
from config import Config
from env import make_env
from env.ds1000 import DS1000, read_prompt, read_test, tidy
from env.tools.programs import Harness, harness, transfer
from errors import DataError

SECONDS = 0.4  # of a program's own, here
SLACK = 15.0  # seconds that a loaded machine may take to notice
MEMORY = 4 * 2**30 + os.getpid()  # part of a worker's command line: it tells this test's from others'
SECRET = "41.25"  # in the right answer, which no input hints at
PROMPT = "Problem:\nHow do I get it?\n   x\n\nA:\n<code>\nimport numpy as np\n</code>\nBEGIN SOLUTION\n<code>\n"
TEST = f'''
import numpy as np

def generate_test_case(test_case_id):
    return np.arange(3.0) + test_case_id, np.array([{SECRET}, 7.5, test_case_id])


def exec_test(result, ans):
    np.testing.assert_allclose(result, ans)
    return 1


exec_context = r"""
import numpy as np
x = test_input
[insert]
"""


def test_execution(solution: str):
    code = exec_context.replace("[insert]", solution)
    for i in range(2):
        test_input, expected_result = generate_test_case(i + 1)
        test_env = {{"test_input": test_input}}
        exec(code, test_env)
        assert exec_test(test_env["result"], expected_result)
'''
RIGHT = f"result = np.array([{SECRET}, 7.5, x[0]])"
STRING_TEST = "\n\ndef test_string(solution: str):\n    assert 'for' not in solution.split()\n"

ANYTHING = "class Any(np.ndarray):\n  __eq__ = __ne__ = __le__ = __lt__ = lambda *a: True\n"
WALK = "import sys\nframe, seen = sys._getframe(), []\nwhile frame:\n  seen += [frame.f_globals, frame.f_locals]\n"
WALK += "  frame = frame.f_back\nfound = [scope['expected_result'] for scope in seen if 'expected_result' in scope]\n"
PATCHED = "np.testing.assert_allclose = np.allclose = np.array_equal = lambda *a, **k: True\nresult = x"
SAID = "import json, os\nline = json.dumps({'passed': True, 'answer': 1}).encode() + b'\\n'\n"
REDUCED = "class R:\n  def __reduce__(self): return (%s)\nresult = R()"
READING = {
    "frames": WALK + "result = found[0]",
    "globals": "result = globals()['expected_result']",
    "the test's module": "import __main__\nresult = __main__.generate_test_case(1)[1]",
    "builtins": "import builtins\nresult = builtins.expected_result",
    "gc": "import gc\nresult = [o for o in gc.get_objects() if isinstance(o, np.ndarray) and 41.25 in o][0]",
    "gc's functions": "import gc\nresult = [o for o in gc.get_objects() if getattr(o, '__name__', 0) == "
    "'generate_test_case'][0](1)[1]",
    "inspect": "import inspect\nresult = inspect.stack()[-1].frame.f_locals['expected_result']",
    "modules": "import sys\nresult = [m.ans for m in list(sys.modules.values()) if hasattr(m, 'ans')][0]",
    "the traceback": "try: 1/0\nexcept Exception as e: frame = e.__traceback__.tb_frame\n"
    "while frame.f_back: frame = frame.f_back\nresult = frame.f_locals['test']",
    "the rows": "result = open({rows!r}).read()",
    "the examiner's folder": "import glob\nresult = [open(p).read() for p in glob.glob('/work/**', recursive=True)]\n"
    "result = [r for r in result if '41.25' in r][0]",
    "other processes": "import glob\nresult = [open(p, 'rb').read() for p in glob.glob('/proc/*/mem')][0]",
    "its parent": "import ctypes\nresult = ctypes.CDLL(None).ptrace(16, 1, 0, 0) or 1/0",
    "the pipe": "import os\nfor n in range(20):\n  try: result = os.read(n, 10000)\n  except OSError: pass",
}
PRETENDING = {
    "a patched comparison": PATCHED,
    "a patched assertion": "import builtins\nbuiltins.AssertionError = ZeroDivisionError\nresult = x",
    "a patched sender": "import transfer\ntransfer.dumps = lambda v: b''\nresult = x",
    "an answer equal to everything": ANYTHING + "result = x.view(Any)",
    "an object equal to everything": "class A:\n  __eq__ = lambda *a: True\nresult = A()",
    "a mock": "from unittest.mock import ANY\nresult = ANY",
    "masked items": "result = np.ma.masked_all(3)",
    "masked items in a list": "result = [np.ma.masked] * 3",
    "a message on standard output": SAID + "print(line.decode(), flush=True)\nos._exit(0)",
    "a message in every pipe": SAID
    + "for n in range(64):\n  try: os.write(n, line)\n  except OSError: pass\nos._exit(0)",
    "a value that runs a command": REDUCED % "__import__('os').system, ('true',)",
    "a value that runs code": REDUCED % "exec, ('import numpy; numpy.testing.assert_allclose = lambda *a: 1',)",
    "a value that takes attributes": REDUCED % "getattr, (np.testing, 'assert_allclose')",
    "a value that evaluates": REDUCED % "__import__('pandas').eval, ('1',)",
    "a raw pickle": "import os\nfor n in range(3, 64):\n  try: os.write(n, b'Vcos\\nsystem\\n(S\"true\"\\ntR.')\n"
    "  except OSError: pass\nos._exit(0)",
    "no result": "y = x",
    "an early end": "raise SystemExit(0)",
    "a hard end": "import os\nos._exit(0)",
    "an interrupt": "raise KeyboardInterrupt",
    "an error that cannot be printed": "class E(Exception):\n  def __str__(self): raise E()\nraise E()",
    "a crash": "import ctypes\nctypes.string_at(0)",
    "no Python": "result = = x",
    "a NUL": "result = x\0",
    "deep brackets": "result = " + "(" * 3000 + "x" + ")" * 3000,
    "a value within itself": "result = []\nresult.append(result)",
}
EXHAUSTING = {
    "a loop": "while True: pass",
    "a loop deaf to signals": "import signal\nfor n in (14, 15, 24, 25): signal.signal(n, signal.SIG_IGN)\n"
    "while True: pass",
    "a sleep": "import time\ntime.sleep(1000)\nresult = x",
    "a hang at import": "import builtins, time\nbuiltins.__import__ = lambda *a, **k: time.sleep(1000)\nimport json",
    "an import that ends it": "import antigravity, this\nimport test.__main__",
    "fork bomb": "import os\nwhile True: os.fork()",
    "threads": "import threading\nwhile True: threading.Thread(target=lambda: None).start()",
    "a child that stays": "import subprocess\nsubprocess.Popen(['sleep', '1000'])\nresult = x",
    "a flood of output": "while True: print('x' * 100_000)",
    "a flood in the pipe": "import os\nwhile True:\n  for n in range(64):\n    try: os.write(n, b'x' * 60_000)\n"
    "    except OSError: pass",
    "a huge result": "result = np.zeros(2**23)",
    "much memory": "result = bytearray(50 * 2**30)",
    "a kill of its parent": "import os\nos.kill(os.getppid(), 9)",
    "a kill of all": "import os\nos.kill(-1, 9)",
    "a slow value": "class S:\n  def __reduce__(self):\n    while True: pass\nresult = S()",
}
HOSTILE = READING | PRETENDING | EXHAUSTING


def row(test: str = TEST, answer: str = RIGHT, library: str = "Numpy", number: int = 0) -> dict[str, Any]:
    metadata = {"library": library, "problem_id": number, "perturbation_type": "Origin"}
    return {"prompt": PROMPT, "reference_code": answer, "code_context": test, "metadata": metadata}


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ds1000.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DS1000]:
    """One row whose answer cannot be guessed, with little time for a program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness, "MEMORY", MEMORY)
        env = make_env("ds1000", str(write(tmp_path_factory.mktemp("rows"), row())))
        env.harness.seconds = SECONDS
        yield env
        env.close()
    assert not workers()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


STANDING = 6  # for each of two workers: a protection, its child, and the worker


def workers(most: int = 0) -> set[str]:
    """The numbers of this test's processes in sandboxes, `most` at most soon: a namespace takes a moment to end."""
    deadline, found = time.monotonic() + 20, {"?"}
    while found and time.monotonic() < deadline:
        found = set()
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdecimal() and f'"memory": {MEMORY}'.encode() in (folder / "cmdline").read_bytes():
                    found.add(folder.name)
            except OSError:  # it has ended
                continue
        if len(found) <= most:
            break
    return found


def fenced(program: str) -> str:
    return f"Here it is:\n```python\n{program}\n```\nGood luck!"


# -- programs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_programs(env: DS1000, kind: str) -> None:
    program = HOSTILE[kind].replace("{rows!r}", repr(str(env.data_file.path)))
    env.harness.student.ask({"code": "answer = 1"}, 100)  # its start is nobody's fault
    started = time.monotonic()
    verdict = env.harness.check(TEST, program, ["numpy"])
    assert time.monotonic() - started < harness.PATIENCE * SECONDS + SLACK
    assert not verdict.passed and SECRET not in str(verdict.error)
    assert len(workers(STANDING)) <= STANDING


def test_there_are_enough_hostile_programs_and_the_right_one_passes(env: DS1000) -> None:
    assert len(HOSTILE) >= 40
    noisy = "import sys\nprint('x' * 10**6)\nprint('y', file=sys.stderr)\n" + RIGHT + "\nprint(result)"
    for program in (RIGHT, noisy):
        assert env.evaluate(fenced(program)) == (program, 1)
    assert env.evaluate(fenced("result = x")) == ("result = x", 0)
    assert env.evaluate(fenced(RIGHT.replace("x[0]", "1")))[1] == 0  # right for the first input alone


def test_imports_of_libraries_are_not_a_programs_own_time(env: DS1000) -> None:
    slow = "import scipy.stats\n" + RIGHT
    assert env.harness.check(TEST, slow, ["numpy"]).passed
    spent = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n" + RIGHT
    verdict = env.harness.check(TEST, spent, ["numpy"])  # in time once, and not twice
    assert (verdict.passed, "took too long" in str(verdict.error)) == (False, True)


def test_the_text_of_a_program_is_tested_too(env: DS1000) -> None:
    with_loop = "for _ in range(3): pass\n" + RIGHT
    assert env.harness.check(TEST + STRING_TEST, RIGHT, ["numpy"]).passed
    assert env.harness.check(TEST, with_loop, ["numpy"]).passed
    assert not env.harness.check(TEST + STRING_TEST, with_loop, ["numpy"]).passed


def test_a_masked_result_is_read_where_the_answer_is_masked(env: DS1000) -> None:
    masked = TEST.replace("np.array([41.25, 7.5, test_case_id])", "np.ma.masked_less(np.arange(3.0), 1)")
    assert env.harness.check(masked, "result = np.ma.masked_less(np.arange(3.0), 1)", ["numpy"]).passed


# -- values ------------------------------------------------------------------------------------------------------------


def opcodes(*parts: bytes) -> bytes:
    return pickle.PROTO + b"\x04" + b"".join(parts) + pickle.STOP


def named(module: str, name: str) -> bytes:
    texts = [pickle.SHORT_BINUNICODE + bytes([len(text)]) + text.encode() for text in (module, name)]
    return b"".join(texts) + pickle.STACK_GLOBAL


NOTHING, STATE = pickle.EMPTY_TUPLE + pickle.REDUCE, pickle.NONE + pickle.EMPTY_DICT + pickle.TUPLE2 + pickle.BUILD
FORBIDDEN = {
    "a function": opcodes(named("os", "getcwd"), NOTHING),
    "a builtin": opcodes(named("builtins", "eval"), NOTHING),
    "an attribute": opcodes(named("numpy", "ndarray.tofile")),
    "a library's function": opcodes(named("numpy", "load"), NOTHING),
    "a library's module": opcodes(named("numpy", "testing")),
    "a class that is changed": opcodes(named("numpy", "float64"), STATE),
    "a call of a value": opcodes(pickle.NONE, NOTHING),
    "an old opcode": b"(cos\ngetcwd\no.",
    "a name in the old way": b"cos\ngetcwd\n)R.",
    "a stored number": b"P1\n.",
    "nothing": b"",
    "half a value": pickle.dumps([1, 2, 3])[:-3],
}


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_what_is_no_value_is_not_read(kind: str) -> None:
    with pytest.raises(transfer.Unreadable):
        transfer.loads(FORBIDDEN[kind])


def test_values_arrive_as_they_were() -> None:
    import pandas as pd
    import torch
    from scipy import sparse

    frame = pd.DataFrame({0: pd.Categorical([5, 6]), 1: pd.to_datetime(["2031", None]), 2: [[1], pd.NA]})
    frame.index = pd.MultiIndex.from_tuples([(1, 3), (2, 4)], names=[7, None])
    pd.testing.assert_frame_equal(transfer.loads(transfer.dumps(frame)), frame)
    zoned = pd.Series([1.5, 2], index=pd.date_range("2031", periods=2, freq="D", tz="Europe/Berlin"))
    pd.testing.assert_series_equal(transfer.loads(transfer.dumps(zoned)), zoned)
    fields = np.array([(1, 2.0)], dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True))
    for array in (
        np.eye(3, dtype="f2"),
        np.array(["a", None]),
        fields,
        np.matrix([[1]]),
        np.float32(2),
        np.zeros((0, 2)),
    ):
        got = transfer.loads(transfer.dumps(array))
        assert type(got) is type(array) and got.dtype == array.dtype and np.array_equal(got, array)
    tensor = transfer.loads(transfer.dumps({"t": torch.ones(2, requires_grad=True), "b": torch.ones(1).bfloat16()}))
    assert tensor["t"].requires_grad and tensor["b"].dtype == torch.bfloat16
    got = transfer.loads(transfer.dumps(sparse.csr_matrix(np.eye(2))))
    assert sparse.issparse(got) and got.format == "csr" and (got.toarray() == np.eye(2)).all()


# -- rows and prompts --------------------------------------------------------------------------------------------------


def test_prompts_show_the_program_and_never_the_answers(env: DS1000) -> None:
    prompt = env.get_zero_shot_prompt(env.observe())
    assert env.observe() == "How do I get it?\n   x"
    assert "x = test_input\n[insert]" in prompt and "2 inputs" in prompt and "0.4" not in prompt and "3 s" in prompt
    assert SECRET not in prompt and "generate_test_case" not in prompt and "assert" not in prompt
    shown = env.get_case_based_prompt("new", [{"task": "old", "answer": "    indented"}])
    assert "```python\n    indented\n```" in shown and SECRET not in shown


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("```python\n    a = 1\n```\n```python\nb\n```", "    a = 1"),
        ("```\na\n```", "a"),
        ("```py\n\n\n  a\n\n", "  a"),
        ("```json\n{}\n```", "```json\n{}\n```"),
        ("  a = 1\n", "  a = 1"),
        ("```python\n```", None),
        ("\ud800", "?"),
        (" \n", None),
    ],
)
def test_reading_an_answer(env: DS1000, text: str, program: str | None) -> None:
    assert env.extraction(text) == program
    assert program is None or env.extraction(env.format_answer(program)) == program


def test_reading_a_row() -> None:
    assert read_prompt("Problem:\nWhy?\nA:\nx\n\nA:\n<code>\ny\n</code>\nBEGIN SOLUTION\n<code>\n") == (
        "Why?\nA:\nx",
        "<code>\ny\n</code>",
    )
    drawing = "import x\n\n# Draw.\n# SOLUTION START\n"
    assert read_prompt(drawing) == ("import x\n\n# Draw.", "")
    assert tidy("\n \n  a\n\n") == "  a"
    test = read_test(TEST + STRING_TEST)
    assert (test.inputs, test.reads_text) == (2, True)
    assert (
        read_test("x = (") is read_test("exec_context = '[insert]'") is read_test(TEST.replace("[insert]", "")) is None
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metadata": {}}, "no text in the field 'library'"),
        ({"code_context": "x = 1"}, r"no test_execution, or no exec_context with \[insert\]"),
        ({"reference_code": " \n"}, "the reference code is empty"),
    ],
)
def test_rows_that_are_not_right(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        make_env("ds1000", str(write(tmp_path / "rows", row() | change)))


# -- the start ---------------------------------------------------------------------------------------------------------


def test_a_start_tells_the_ceiling_once_and_leaves_out_what_cannot_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = row(TEST.replace("import numpy", "import nosuchlib\nimport numpy"), number=3)
    rows = [row(), row(answer="result = x", number=1), row(library="Nosuchthing", number=2), absent]
    folder = str(write(tmp_path / "rows", *rows))
    env = make_env("ds1000", folder)
    told = env.details()
    env.close()
    assert len(env) == 2 and told["reference answers"] == ["Numpy 1 of 2 right"]
    assert told["ceiling"] == "0.500, for with these libraries the reference is wrong in the problems 1"
    assert told["left out"] == "2 rows: 1 for want of nosuchthing, 1 for want of nosuchlib"
    assert env.conditions() == {
        "ds1000_versions": {"python": sys.version.split()[0], "numpy": np.__version__},
    }

    def never(*_: object) -> None:
        raise AssertionError("a reference was run again")

    monkeypatch.setattr(Harness, "check", never)
    again = make_env("ds1000", folder)
    assert again.details() == told
    again.close()
    with pytest.raises(DataError, match="lacks nosuchthing, so no row .* can be run"):
        make_env("ds1000", str(write(tmp_path / "none", rows[2])))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/no/such/python", "there is no such program"),
        ("/bin/true", "is no Python interpreter"),
        ("{folder}", "there is no such program"),
    ],
)
def test_a_wrong_interpreter_is_one_line(
    path: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = path.replace("{folder}", str(tmp_path))
    arguments = ["--env", "ds1000", "--data", "sample", "--agent", "zero-shot", "--output_dir", str(tmp_path / "out")]
    assert main.main([*arguments, "--ds1000_python", path]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"--ds1000_python {path}" in error and words in error


def test_another_interpreter_is_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import subprocess
    from venv import EnvBuilder

    EnvBuilder(with_pip=False, symlinks=True).create(tmp_path / "bare")
    python = tmp_path / "bare" / "bin" / "python"
    assert subprocess.run([python, "-c", "import numpy"], capture_output=True).returncode != 0
    config = Config(env="ds1000", ds1000_python=str(python))
    assert config.run_name() != Config(env="ds1000").run_name() and "ds1000_python" in config.identity()
    with pytest.raises(DataError, match="lacks .*numpy"):
        make_env("ds1000", str(write(tmp_path / "rows", row())), config=config)
    plain = row("import json\n" + TEST.replace("import numpy as np", "").partition("def generate")[0], library="Json")
    plain["code_context"] = (
        "def generate_test_case(i):\n    return 2, 4\n\nexec_context = '''\n[insert]\n'''\n\n"
        "def test_execution(solution):\n    test_input, ans = generate_test_case(1)\n"
        "    names = {'test_input': test_input}\n    exec(exec_context.replace('[insert]', solution), names)\n"
        "    assert names['result'] == ans\n"
    )
    plain["reference_code"] = "result = test_input ** 2"
    plain["metadata"]["library"] = "Json"  # which every Python has
    env = make_env("ds1000", str(write(tmp_path / "plain", plain)), config=config)
    assert env.details()["reference answers"] == ["Json 1 of 1 right"]
    assert env.conditions() == {"ds1000_versions": {"python": sys.version.split()[0]}}
    env.close()


# -- figures -----------------------------------------------------------------------------------------------------------

DRAWING = '''
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

def generate_test_case(test_case_id):
    plt.plot([1, 2], label="secret-name")
    plt.legend()
    plt.savefig("ans.png", bbox_inches="tight")
    plt.close()
    return None, None


def exec_test(result, ans):
    code_img, oracle_img = (np.array(Image.open(name)) for name in ("output.png", "ans.png"))
    if code_img.shape == oracle_img.shape and np.allclose(code_img, oracle_img):
        return 1
    assert plt.gca().get_legend().get_texts()[0].get_text() == "secret-name"
    return 1


exec_context = r"""
import matplotlib.pyplot as plt
[insert]
plt.savefig('output.png', bbox_inches='tight')
result = None
"""


def test_execution(solution: str):
    test_input, expected_result = generate_test_case(1)
    test_env = {"test_input": test_input}
    exec(exec_context.replace("[insert]", solution), test_env)
    assert exec_test(test_env["result"], expected_result)
'''


def test_figures_are_compared_by_picture_and_by_parts(env: DS1000, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env.harness, "seconds", 5.0)  # drawing is slow
    modules = ["matplotlib.pyplot", "PIL.Image", "numpy"]
    draw = "plt.plot([1, 2], label='secret-name')\nplt.legend()"
    patch = "import numpy as np\nfrom matplotlib import text\nnp.allclose = lambda *a: True\n"
    patch += "text.Text.get_text = lambda self: 'secret-name'\nplt.plot([1, 2], label='other')\nplt.legend()"
    copy = "from PIL import Image\nimport shutil\nshutil.copy('ans.png', 'output.png')"
    for program, passed in (
        (draw, True),
        (draw + "\nplt.title('more')", True),
        (patch, False),
        (copy, False),
    ):
        assert env.harness.check(DRAWING, program, modules).passed == passed, program
