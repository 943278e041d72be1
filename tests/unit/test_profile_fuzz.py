"""Whatever stands in a profile, loading ends in a policy or an error. Run by: pytest."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from support.profile_files import REASON
from support.profile_values import PATIENT

from hardbox import profile
from hardbox.profile import Setting, layers, merge

_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates()
_anything = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_keys = st.text(max_size=5) | st.sampled_from(
    [
        "extends",
        "identity",
        "filesystem",
        "network",
        "limits",
        "refuse",
        "loosen",
        "optional",
        "seccomp",
        "environment",
    ]
)
_inner = st.text(max_size=5) | st.sampled_from(
    [
        "mode",
        "memory",
        "scratch",
        "read",
        "set",
        "pass",
        "user",
        "filter",
        "host-etc",
        "landlock",
        "limits.memory",
        "show",
    ]
)


@PATIENT
@given(st.dictionaries(_keys, _anything | st.dictionaries(_inner, _anything, max_size=4), max_size=6))
def test_any_structure_ends_in_a_policy_or_an_error(table: dict[str, object]) -> None:
    layer = layers.from_table(table, "any.toml", "/home")
    merge.put(merge.State(), layer)
    for problem in layer.problems:
        assert problem.render().endswith("nothing was run\n")


@PATIENT
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_end_in_a_policy_or_an_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "any.toml"
        path.write_bytes(content)
        path.chmod(0o600)
        policy, problems, *_ = profile.inspect(str(path))
    assert (policy is None) == bool(problems)


@PATIENT
@given(_inner.map("limits.{}".format) | _keys | st.text(), _anything, st.booleans())
def test_any_setting_ends_in_a_policy_or_an_error(key: str, value: object, append: bool) -> None:  # noqa: FBT001 (drawn)
    policy, problems, *_ = profile.inspect("strict", [Setting(key, value, "--set x", append)], {key: REASON})
    assert (policy is None) == bool(problems)
