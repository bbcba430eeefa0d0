"""Calendar events and time spans as systemd.time(7) has them: what is surely none is found before anything is touched."""

from __future__ import annotations

import re

_WORDS = ("minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly", "annually")
_DAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_DAYS = rf"{_DAY}(?:(?:\.\.|-){_DAY})?(?:,{_DAY}(?:(?:\.\.|-){_DAY})?)*,?"
_PART = r"(?:\*|\d+(?:\.\d+)?(?:\.\.\d+(?:\.\d+)?)?)(?:/\d+(?:\.\d+)?)?"
_NUMBERS = rf"{_PART}(?:,{_PART})*"
_DATE = rf"(?:{_NUMBERS}-)?{_NUMBERS}[-~]{_NUMBERS}"
_TIME = rf"{_NUMBERS}:{_NUMBERS}(?::{_NUMBERS})?"
_ZONE = r"[A-Za-z][A-Za-z0-9_+/-]*"
_EVENT = re.compile(rf"(?i:{_DAYS})?(?:(?:^| )(?:{_DATE}))?(?:(?:^| )(?:{_TIME}))?(?: {_ZONE})?")
_WORD = re.compile(rf"(?i:{'|'.join(_WORDS)})(?: {_ZONE})?")
_CRON = re.compile(r"[\d*/,-]+( [\w*/,-]+){4}|@\w+")
_UNITS = r"(?:usec|us|msec|ms|seconds?|sec|s|minutes?|min|m|hours?|hr|h|days?|d|weeks?|w|months?|M|years?|y)"
_SPAN = re.compile(rf"\d+(?:\.\d+)?(?: ?{_UNITS})?(?: ?\d+(?:\.\d+)? ?{_UNITS})*")


def event_problem(text: str) -> str:
    """What is wrong with a calendar event, as a sentence; empty when nothing is seen to be."""
    if _WORD.fullmatch(text) or (text.strip() and _EVENT.fullmatch(text)):
        return ""
    example = "such as `daily`, `*-*-* 03:30:00` or `Mon..Fri 08:00`"
    if _CRON.fullmatch(text):
        return f"`{text}` is written as for cron; a calendar event is written as in systemd.time(7), {example}"
    return f"`{text}` is not a calendar event of systemd.time(7), {example}"


def span_problem(text: str) -> str:
    """What is wrong with a time span; empty when nothing is seen to be."""
    return "" if _SPAN.fullmatch(text) else f"`{text}` is not a time span, such as `90s`, `15min` or `1h 30min`"
