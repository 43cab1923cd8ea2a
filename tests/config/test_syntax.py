"""The grammar: what Moonraker's users have in their files, and what only looks like it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trio_moon.config.syntax import Fault, Header, Include, Setting, parse_entries


def settings_of(text: str) -> dict[str, str]:
    return {entry.option: entry.value for entry in parse_entries(text) if isinstance(entry, Setting)}


def faults_of(text: str) -> list[Fault]:
    return [entry for entry in parse_entries(text) if isinstance(entry, Fault)]


def test_colon_and_equals_both_end_an_option_name_and_the_first_one_counts() -> None:
    text = "[a]\nhost: 0.0.0.0\nport = 7125\nurl: http://x/?a=b\nbody=a: b\n  spaced name : x\n"
    assert settings_of(text) == {
        "host": "0.0.0.0",
        "port": "7125",
        "url": "http://x/?a=b",
        "body": "a: b\nspaced name : x",
    }


def test_entries_know_their_lines() -> None:
    text = "# head\n[server]\n\nport: 1\n[include x/*.conf]\n"
    assert list(parse_entries(text)) == [Header(2, "server"), Setting(4, "port", "1"), Include(5, "x/*.conf")]


def test_option_names_are_lower_case_and_section_names_are_as_written() -> None:
    entries = list(parse_entries("[Notifier My Phone]\nURL: X\n"))
    assert entries == [Header(1, "Notifier My Phone"), Setting(2, "url", "X")]


def test_comments_begin_a_line_or_follow_a_blank_unless_escaped() -> None:
    # The four examples of Moonraker's manual, and a tab where they have a blank.
    text = """
[a] # comment
one: http://this.is/#not-a-comment
two: This is also \\# not a comment
three: This is the value # this is a comment
four: Once again\\# not a comment
five: value\t; comment
six: a \\; b
  ; indented comment
# comment
"""
    assert settings_of(text) == {
        "one": "http://this.is/#not-a-comment",
        "two": "This is also # not a comment",
        "three": "This is the value",
        "four": "Once again\\# not a comment",
        "five": "value",
        "six": "a ; b",
    }
    assert faults_of(text) == []


def test_deeper_lines_continue_a_value_and_blank_lines_or_comments_inside_it_vanish() -> None:
    text = """
[authorization]
cors_domains:
    *.lan  # home

# not the end
      *.local
\t; nor this
\thttp://x
trusted_clients: 10.0.0.0/8
  127.0.0.1
"""
    assert settings_of(text) == {
        "cors_domains": "\n*.lan\n*.local\nhttp://x",
        "trusted_clients": "10.0.0.0/8\n127.0.0.1",
    }


def test_an_indented_section_header_inside_a_value_is_part_of_the_value() -> None:
    text = "[a]\nlist:\n  [b]\n  [include x]\nnext: 1\n"
    assert settings_of(text) == {"list": "\n[b]\n[include x]", "next": "1"}


def test_options_may_be_indented_alike() -> None:
    assert settings_of("[a]\n  x: 1\n  y: 2\n    3\n z: 4\n") == {"x": "1", "y": "2\n3", "z": "4"}


def test_line_ends_of_all_systems_and_a_byte_order_mark_are_fine() -> None:
    assert list(parse_entries("\ufeff[a]\r\nx: 1\r\n  2\r\n")) == [Header(1, "a"), Setting(2, "x", "1\n2")]
    assert list(parse_entries("[a]\rx: 1\r")) == [Header(1, "a"), Setting(2, "x", "1")]


def test_a_line_without_a_delimiter_is_a_fault_and_takes_its_continuation_with_it() -> None:
    text = "[a]\nnonsense\n  more: nonsense\nx: 1\n: no name\n"
    assert settings_of(text) == {"x": "1"}
    assert [fault.line for fault in faults_of(text)] == [2, 5]
    assert "'nonsense'" in faults_of(text)[0].message


def test_an_unfinished_header_is_a_fault_that_closes_the_section_before_it() -> None:
    for header in ("[b", "[]", "[ ]"):
        [fault] = faults_of(f"[a]\nx: 1\n{header}\n")
        assert (fault.line, fault.closes_section) == (3, True)


def test_text_after_a_header_is_a_fault_but_the_section_opens() -> None:
    entries = list(parse_entries("[a] b\nx: 1\n"))
    assert [type(entry) for entry in entries] == [Header, Fault, Setting]


@given(st.text())
def test_no_text_makes_the_grammar_raise(text: str) -> None:
    lines = text.count("\n") + text.count("\r") + 1
    assert all(1 <= entry.line <= lines for entry in parse_entries(text))


@given(st.lists(st.text(alphabet="[]#;\\:= \t\r\nab\ufeffü"), max_size=12).map("\n".join))
def test_no_text_of_significant_characters_makes_the_grammar_raise(text: str) -> None:
    for entry in parse_entries(text):
        if isinstance(entry, Setting):
            assert entry.option == entry.option.strip().lower() != ""
            assert entry.value == entry.value.rstrip()


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,12}", fullmatch=True)
WORDS = st.from_regex(r"[a-zA-Z0-9/{}%.:=*_-]{1,12}( [a-zA-Z0-9/{}%.:=*_-]{1,12}){0,3}", fullmatch=True)


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, st.lists(WORDS, min_size=1, max_size=4), max_size=4), max_size=4))
def test_what_is_written_down_is_what_is_read(sections: dict[str, dict[str, list[str]]]) -> None:
    lines = []
    for section, options in sections.items():
        lines.append(f"[{section}]   # comment")
        for option, value in options.items():
            lines.append(f"{option}: {value[0]}")
            lines += [f"\n#\n    {more}  ; comment" for more in value[1:]]
    read: dict[str, dict[str, list[str]]] = {}
    for entry in parse_entries("\n".join(lines)):
        if isinstance(entry, Header):
            read[entry.name] = {}
        elif isinstance(entry, Setting):
            read[list(read)[-1]][entry.option] = entry.value.split("\n")
    assert read == sections
