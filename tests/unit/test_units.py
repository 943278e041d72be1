"""Sizes, durations, counts. Run by: pytest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.profile_values import PATIENT

from hardbox.policy import UNLIMITED, cpus_text
from hardbox.profile import units

finite = st.integers(1, UNLIMITED - 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("512M", 512 << 20),
        ("1K", 1024),
        ("2G", 2 << 30),
        ("3T", 3 << 40),
        ("4096", 4096),
        (4096, 4096),
        ("007", 7),
    ],
)
def test_sizes_are_binary(text: object, value: int) -> None:
    assert units.size(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("1d", 86_400_000),
        ("1m1ms", 60_001),
    ],
)
def test_durations_are_milliseconds(text: str, value: int) -> None:
    assert units.duration(text) == value


@pytest.mark.parametrize(
    "bad",
    [
        *("0", 0, -1, "-1", "", "M", "1.5G", 1.5, True, False, None, [], {}, "1g", "1GB", "1 G", "G1", "१"),
        *(2**63 - 1, 2**63, "8388608T", "9223372036854775807", "9" * 5000, 10**4000, "1e3", "0x10", "1_000"),
    ],
)
def test_bad_sizes_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.size(bad)


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "0s",
            "0",
            "5",
            5,
            True,
            -1,
            "-5m",
            "",
            "m",
            "1.5h",
            "5 m",
            "5M",
            "30s1h",
            "1h1h",
            "1hm",
            "5min",
            None,
        ),
        *("9" * 30 + "s", "106751991168d", "1h30"),
    ],
)
def test_bad_durations_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.duration(bad)


@pytest.mark.parametrize("bad", [0, 11, "0", "11", True, "1.0", 1.0, "", " 1", "one", 10**4000])
def test_bad_counts_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.whole(bad, 1, 10)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("512m", "512M"),
        ("512MB", "512M"),
        ("512 MiB", "512M"),
        ("1Gi", "1G"),
        ("0.5G", "512M"),
        ("1.5g", "1536M"),
        ("100b", "100"),
    ],
)
def test_a_size_of_another_tool_is_answered_with_ours(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f'did you mean "{meant}"'):
        units.size(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("5", "5s"),
        (5, "5s"),
        ("5sec", "5s"),
        ("5 s", "5s"),
        ("2 minutes", "2m"),
        ("1.5h", "1h30m"),
        ("0.5s", "500ms"),
        ("5M", "5m"),
    ],
)
def test_a_duration_of_another_tool_is_answered_with_ours(text: object, meant: str) -> None:
    with pytest.raises(ValueError, match=f'did you mean "{meant}"'):
        units.duration(text)


@pytest.mark.parametrize("text", ["1X", "", "1.1K", "0m", "1.2.3G", ".5G", "9" * 5000 + "mb", "-1", "1e3"])
def test_nothing_is_guessed_for_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        units.size(text)
    assert "did you mean" not in str(caught.value)


@PATIENT
@given(finite)
def test_what_is_written_reads_back(value: int) -> None:
    assert units.size(units.size_text(value)) == value
    assert units.duration(units.duration_text(value)) == value
    assert units.cpus(cpus_text(value)) == value


@PATIENT
@given(st.text() | st.integers() | st.floats() | st.none() | st.lists(st.integers()))
def test_anything_else_is_a_value_error(value: object) -> None:
    for read in (units.size, units.duration, units.cpus):
        try:
            number = read(value)
        except ValueError:
            continue
        assert 0 < number < UNLIMITED


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (2, 2000),
        (1.5, 1500),
        ("1.5", 1500),
        ("0.25", 250),
        ("0.010", 10),
        (0.001, 1),
        ("0012", 12000),
        ("1024", 1_024_000),
    ],
)
def test_numbers_of_cpus_are_decimals(text: object, value: int) -> None:
    assert units.cpus(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ".",
            "1.",
            ".5",
            "1.5.2",
            "1,5",
            "1.0005",
            "1e3",
            "-1",
            "0.000",
            "150%",
            "1 ",
            "\u0661",
            "9" * 40,
        ),
        *(1e-9, 1e30, -1, 0, True, None, float("nan"), float("inf")),
    ],
)
def test_what_is_no_number_of_cpus(text: object) -> None:
    with pytest.raises(ValueError, match="CPUs"):
        units.cpus(text)
