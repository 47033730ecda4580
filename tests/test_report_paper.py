"""What --paper writes: figures of a column's and a page's width, tables that a LaTeX document can take in."""

from __future__ import annotations

import re
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

from helpers.planted_runs import plant_run
from report import cli, paper

TASKS = ("banking77", "bird", "cosql", "ddxplus", "lfd", "rca", "spider")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven tasks of an LLM with a hostile name, and a method whose name has an underscore."""
    root = tmp_path_factory.mktemp("paper")
    for i, env in enumerate(TASKS):
        for seed in range(3 if env == "lfd" else 1):
            for agent, rewards in (("zero-shot", [0, 1, 0, 0]), ("cbr", [1, 1, 0, 1])):
                sha = f"{i}{'0' * 63}"
                plant_run(root, rewards * 6, "--agent", agent, "--llm", "a_b&50%", "--seed", seed, env=env, sha256=sha)
    plant_run(root, [0, 1] * 12, "--agent", "cbr", "--nu", 0.3, "--llm", "a_b&50%", env="lfd", sha256=f"4{'0' * 63}")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("plots.stream_curves", "plots.stream_windows", "plots.stream_terms", "plots.bars"):
            patch.setattr(f"report.{name}", lambda *_: None)  # the report's own are tested elsewhere
        patch.setattr("report.writing.gain_plot", lambda *_: None)
        patch.setattr(paper, "_panels", _of_lfd(paper._panels))
        assert cli.main([str(root), "--paper"]) == 0
    return root / "report" / "paper"


def _of_lfd(panels):  # type: ignore[no-untyped-def]
    """The panels of one stream are enough to look at."""
    return lambda stream, *rest: panels(stream, *rest) if stream.env == "lfd" else ()


def pdf_text(path: Path) -> str:
    """The PDF's objects, its compressed streams unpacked."""
    content = path.read_bytes()
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.S):
        try:
            content += zlib.decompress(stream)
        except zlib.error:
            continue
    return content.decode("latin-1")


def test_figures_have_the_width_and_the_fonts_that_papers_ask_for(out: Path) -> None:
    found = sorted((out / "figures").glob("*.pdf"))
    names = {re.sub(r"-[\d.]+in$", "", path.stem).rpartition("-")[2] for path in found}
    assert names == {"rate", "window", "regret", "difference", "gains", "bars"} and len(found) == 2 * len(names)
    for path in found:
        text = pdf_text(path)
        (width,) = re.findall(r"/MediaBox \[ 0 0 ([\d.]+) ", text)
        assert float(width) == pytest.approx(72 * float(path.stem.rpartition("-")[2].removesuffix("in")))
        assert "/FontFile2" in text and "/Type3" not in text and "/CIDFontType2" in text
        sizes = {float(size) for size in re.findall(r"/F\d+ ([\d.]+) Tf", text)}
        assert sizes and min(sizes) > 7 and max(sizes) == paper.POINTS


def balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def test_tables_are_latex(out: Path) -> None:
    found = sorted((out / "tables").glob("*.tex"))
    assert len(found) > len(TASKS)
    for path in found:
        text = path.read_text("utf-8").replace("% \\usepackage{booktabs}\n", "")
        assert balanced(text) and "a\\_b\\&50\\%" in text
        assert re.findall(r"\\(begin|end)\{(\w+\*?)\}", text) in [
            [("begin", kind), ("begin", "tabular"), ("end", "tabular"), ("end", kind)] for kind in ("table", "table*")
        ]
        assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{")] == [1] * 4
        assert not re.search(r"(?<!\\)[%#_$](?!\\pm\$)", re.sub(r"\$\\pm\$|\\label\{.*\}", "", text))
        (columns,) = re.findall(r"\{@\{\}(l?r+)@\{\}\}", text)
        rows = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(columns)}
        (caption,) = re.findall(r"\\caption\{(.*)\}", text)
        assert len(caption) < 250 and r"bold: best" in caption.lower()


DOCUMENT = r"""\documentclass[twocolumn,letterpaper]{article}
\usepackage[margin=0.85in,columnsep=0.2in]{geometry}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX on this machine")
def test_tables_compile_and_fit_columns_of_3_3_inches(out: Path, tmp_path: Path) -> None:
    taken = "\n".join(rf"\input{{{path}}}" for path in sorted((out / "tables").glob("*.tex")))
    (tmp_path / "paper.tex").write_text(DOCUMENT % taken, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout and "Undefined" not in done.stdout
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")


def test_the_best_is_bold_and_a_table_fits_the_page(out: Path) -> None:
    (table,) = (path.read_text("utf-8") for path in (out / "tables").glob("lfd-*.tex"))
    lines = {line.split(" & ")[0]: line for line in table.splitlines() if line.endswith(r"\\")}
    assert r"\textbf{75.0 $\pm$ 0.0}" in lines["CASCADE"] and r"\textbf{+50.0" in lines["CASCADE"]
    assert r"\textbf" not in lines["zero-shot"] and len(lines) == 4
    wide = [path.read_text("utf-8") for path in (out / "tables").glob("summary-*.tex")]
    tasks = [re.findall(r"^method & (.*) \\\\$", text, re.M)[0].split(" & ") for text in wide]
    assert sorted(sum(tasks, [])) == sorted([*TASKS, "average"])
    cells = {name: [r"\textbf{61.2 $\pm$ 10.8}"] for name in ("method", *TASKS)}
    assert paper.width_of({"method": ["x"] * 3}) < 1 < paper.width_of(cells) / 6
