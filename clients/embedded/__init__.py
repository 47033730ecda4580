"""The embedded reader: what answers when no LLM is at hand.

It is not a language model. Like one, it sees only the prompt, never the label: it finds the task, the options and the
shown cases by their tags, embeds them, and answers with the option most similar to the task, or with the answer of a
shown case whose task is more similar still. Two long texts are always more alike than a text and a label, so a case
must also resemble the same options as the task does. That is little, but enough that well-chosen cases raise the
success rate, so the agents and policies can be tried and compared without a GPU, a key or a server.

It fills in the answer format that the prompt asks for (a label, a list, a dict, entity lines, SQL). Where the prompt
has neither options nor a usable case, it says that it cannot answer, which scores 0.
"""

from .labels import names_in
from .reader import CANNOT, EmbeddedReader

__all__ = ["CANNOT", "EmbeddedReader", "names_in"]
