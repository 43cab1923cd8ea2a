"""Floor 2: the text of `moonraker.conf`: includes, sections, typed getters, templates."""

from trio_moon.config.document import Document
from trio_moon.config.problems import ConfigProblem, Problem, TemplateFailed
from trio_moon.config.secrets import Secrets
from trio_moon.config.section import Section
from trio_moon.config.templates import Template

__all__ = [
    "ConfigProblem",
    "Document",
    "Problem",
    "Secrets",
    "Section",
    "Template",
    "TemplateFailed",
]
