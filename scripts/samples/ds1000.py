"""The ds1000 sample: programs with a part to fill in, in the benchmark's own form, their tests beside them."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

from .facts import load_facts
from .wording import expand

facts = load_facts("ds1000")
ROWS_PER_PROBLEM = 6
TRIES = 200  # a problem with few wordings gets fewer rows
SLOT = re.compile(r"<<(\w+)>>")
DRAWN = re.compile(r"<<(words|ints|floats) (\d+)>>")
COMPARISONS = {
    "series": "pd.testing.assert_series_equal(result, ans, check_dtype=False)",
    "frame": "pd.testing.assert_frame_equal(result, ans, check_dtype=False)",
    "array": "np.testing.assert_array_equal(result, ans)",
    "close": "np.testing.assert_allclose(result, ans)",
    "equal": "assert result == ans",
    "sparse": "assert type(result) is type(ans) and (result != ans).nnz == 0",
    "tensor": "torch.testing.assert_close(result, ans)",
    "pipeline": "assert [name for name, _ in result.steps] == [name for name, _ in ans.steps]\n"
    "        np.testing.assert_allclose(result.predict(np.eye(2)), ans.predict(np.eye(2)))",
}
IMPORTS = {"Pandas": "import pandas as pd", "Pytorch": "import torch", "Sklearn": "import pandas as pd"}
TEST = '''import numpy as np
import copy
{imports}

def generate_test_case(test_case_id):
    def generate_ans(data):
        test_input = data
{answer}
        return result

    def define_test_input(test_case_id):
        inputs = [
{inputs}
        ]
        return inputs[test_case_id - 1]

    test_input = define_test_input(test_case_id)
    return test_input, generate_ans(copy.deepcopy(test_input))


def exec_test(result, ans):
    try:
        {comparison}
        return 1
    except AssertionError:
        return 0


exec_context = r"""
{program}"""


def test_execution(solution: str):
    code = exec_context.replace("[insert]", solution)
    for i in range({count}):
        test_input, expected_result = generate_test_case(i + 1)
        test_env = {{"test_input": test_input}}
        exec(code, test_env)
        assert exec_test(test_env["result"], expected_result)
'''
DRAWING_TEST = '''import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

def skip_plt_cmds(line):
    return all(part not in line for part in ["plt.show()", "plt.clf()", "plt.close()", "savefig"])


def generate_test_case(test_case_id):
{draw}
{answer}
    plt.savefig("ans.png", bbox_inches="tight")
    plt.close()
    return None, None


def exec_test(result, ans):
    code_img = np.array(Image.open("output.png"))
    oracle_img = np.array(Image.open("ans.png"))
    if code_img.shape == oracle_img.shape and np.allclose(code_img, oracle_img):
        return 1
{draw}
    ax = plt.gca()
{checks}
    return 1


exec_context = r"""
import matplotlib.pyplot as plt
import numpy as np
{program}[insert]
plt.savefig('output.png', bbox_inches='tight')
result = None
"""


def test_execution(solution: str):
    solution = "\\n".join(filter(skip_plt_cmds, solution.split("\\n")))
    code = exec_context.replace("[insert]", solution)
    for i in range(1):
        test_input, expected_result = generate_test_case(i + 1)
        test_env = {{"test_input": test_input}}
        exec(code, test_env)
        assert exec_test(test_env["result"], expected_result)
'''
TEXT_TEST = """

def test_string(solution: str):
    import io
    import tokenize

    tokens = [token.string for token in tokenize.tokenize(io.BytesIO(solution.encode()).readline)]
    assert "{word}" not in tokens
"""


def rows(rng: random.Random, folder: Path) -> list[dict[str, Any]]:
    """A few rows of every problem, shuffled and numbered; no problem's text is there twice."""
    drawn: dict[str, dict[str, Any]] = {}
    for problem in facts.problems:
        wanted = len(drawn) + problem.get("rows", ROWS_PER_PROBLEM)
        for _ in range(TRIES):
            if len(drawn) == wanted:
                break
            values = {name: rng.choice(choices) for name, choices in facts.values.items()}
            filled = {name: fill(part, values, rng) for name, part in problem.items()}
            filled["ask"] = expand(filled["ask"], rng)
            drawn.setdefault(filled["ask"], draw_row(filled) if "draw" in filled else row(filled))
    result = list(drawn.values())
    rng.shuffle(result)
    for number, each in enumerate(result):
        each["metadata"] |= {"problem_id": number, "perturbation_type": "Origin"}
    return result


def row(problem: dict[str, Any]) -> dict[str, Any]:
    """A row whose program leaves a value."""
    program, answer = problem["program"], problem["answer"]
    test = TEST.format(
        imports=IMPORTS.get(problem["library"], ""),
        answer=indent(program.replace("[insert]", answer), 8),
        inputs="\n".join(f"            {text}," for text in problem["inputs"]),
        comparison=COMPARISONS[problem["compare"]],
        program=program,
        count=len(problem["inputs"]),
    )
    if "without" in problem:
        test += TEXT_TEST.format(word=problem["without"])
    given = program.replace("test_input", "load_data()").partition("[insert]")[0]
    text = f"Problem:\n{problem['ask']}\n\nA:\n<code>\n{given}</code>\nresult = ... # put solution in this variable\n"
    return made(problem, f"{text}BEGIN SOLUTION\n<code>\n", test)


def draw_row(problem: dict[str, Any]) -> dict[str, Any]:
    """A row whose program draws; its problem is a comment in the program."""
    parts = {name: indent(problem[name], 4) for name in ("draw", "answer", "checks")}
    test = DRAWING_TEST.format(program=problem["draw"], **parts)
    head = f"import matplotlib.pyplot as plt\nimport numpy as np\n\n{problem['draw']}\n"
    return made(problem, f"{head}{problem['ask']}\n# SOLUTION START\n", test)


def made(problem: dict[str, Any], prompt: str, test: str) -> dict[str, Any]:
    metadata = {"library": problem["library"]}
    return {
        "prompt": prompt,
        "reference_code": f"{problem['answer']}\n",
        "code_context": test,
        "metadata": metadata,
    }


def fill(part: Any, values: dict[str, str], rng: random.Random) -> Any:
    """A part of a problem with the values in place of their names."""
    if isinstance(part, list):
        return [fill(item, values, rng) for item in part]
    if not isinstance(part, str):
        return part
    return DRAWN.sub(lambda slot: draw(slot[1], int(slot[2]), rng), SLOT.sub(lambda slot: values[slot[1]], part))


def draw(kind: str, count: int, rng: random.Random) -> str:
    """A list, as Python writes it."""
    if kind == "words":
        return repr([rng.choice(facts.values["word"]) for _ in range(count)])
    numbers = rng.sample(range(1, 100), count)
    return repr([number / 4 for number in numbers] if kind == "floats" else numbers)


def indent(code: str, width: int) -> str:
    return "\n".join(" " * width + line if line.strip() else "" for line in code.rstrip("\n").splitlines())
