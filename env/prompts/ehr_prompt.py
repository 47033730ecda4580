from .layout import build_prompts

ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT = build_prompts(
    instruction="""You answer questions about a hospital's records by writing Python. The records are tables; the
present moment is 2105-12-31 23:59:00. These functions are defined:

- LoadDB(name): the table of that name, a pandas DataFrame.
- FilterDB(table, conditions): its rows that meet all conditions. A condition is COLUMN=value, with one of the signs
  = < > <= >=, or COLUMN in [value, value], or max(COLUMN) or min(COLUMN), which keep the rows with the largest or
  smallest value among those left. || stands between conditions; they apply from left to right. A value that does not
  occur anywhere in the table given is an error that names the nearest ones; conditions that no row meets together
  give an empty table.
- GetValue(table, argument): "COLUMN" gives the column's value, or its values joined by ", " where they differ;
  "COLUMN, mean" gives their mean, and likewise max, min, sum and list.
- SQLInterpreter(query): the rows of one SQLite SELECT statement over the same tables, a list of tuples.
- Calendar(duration): the time that lies so far from the present, such as Calendar("-1 year").

Times are text, YYYY-MM-DD hh:mm:ss. Names of tests, items, diagnoses and procedures are in the d_ tables; the other
tables hold their ITEMID or ICD9_CODE.""",
    answer_format="""Write a script that leaves the result in the variable `answer`: a number, a text, True or False, or
a list of these. It may use the standard library and pandas; what it prints is not seen. Answer with the whole script
in a code block:
```python
answer = ...
```""",
    context="<schema>\n{tables}\n</schema>",
)

RETRY_PROMPT = """The script gave no answer:
{error}

Write the whole script again, corrected, in a ```python block."""
