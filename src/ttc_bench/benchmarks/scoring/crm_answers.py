"""What a CRM answer names, read out of a sentence without a language model.

The authors have a model extract the answers (``Evaluator.parse_answers`` of their code, arXiv
2505.18878), by instructions that these rules follow: record ids, months, states by two letters,
the BANT factors that are *not* met, or the one stage that the answer believes in; "None" where
it says that there is nothing. What is named only to be ruled out ("June, not May", "Discovery
instead of Quote") is no answer, and two candidates stay two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ttc_bench.benchmarks.answers import NONE_ANSWER, split_answers

# fmt: off
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)
_STATES = {
    "Alabama": "AL", "Alaska": "AK", "Arizona": "AZ", "Arkansas": "AR", "California": "CA",
    "Colorado": "CO", "Connecticut": "CT", "Delaware": "DE", "District of Columbia": "DC",
    "Florida": "FL", "Georgia": "GA", "Hawaii": "HI", "Idaho": "ID", "Illinois": "IL",
    "Indiana": "IN", "Iowa": "IA", "Kansas": "KS", "Kentucky": "KY", "Louisiana": "LA",
    "Maine": "ME", "Maryland": "MD", "Massachusetts": "MA", "Michigan": "MI",
    "Minnesota": "MN", "Mississippi": "MS", "Missouri": "MO", "Montana": "MT",
    "Nebraska": "NE", "Nevada": "NV", "New Hampshire": "NH", "New Jersey": "NJ",
    "New Mexico": "NM", "New York": "NY", "North Carolina": "NC", "North Dakota": "ND",
    "Ohio": "OH", "Oklahoma": "OK", "Oregon": "OR", "Pennsylvania": "PA",
    "Rhode Island": "RI", "South Carolina": "SC", "South Dakota": "SD", "Tennessee": "TN",
    "Texas": "TX", "Utah": "UT", "Vermont": "VT", "Virginia": "VA", "Washington": "WA",
    "West Virginia": "WV", "Wisconsin": "WI", "Wyoming": "WY",
}
# fmt: on
_BANT = ("Budget", "Authority", "Need", "Timeline")
_STAGES = ("Qualification", "Discovery", "Quote", "Negotiation", "Closed")
_ID = re.compile(r"\b(?=[0-9A-Za-z]*\d)[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?\b")
_SHORT_ID = re.compile(r"\b(?=[0-9A-Za-z]*\d)(?=[0-9A-Za-z]*[A-Z])[0-9A-Za-z]{6,18}\b")

_FIND = (
    r"(?:find|found|identif\w+|locat\w+|see|detect\w*|retriev\w+|return\w*|match\w*|exist\w*|apply"
    r"|applies|violat\w+|available|recorded|qualif\w+|meets?|met)"
)
_NOTHING = re.compile(
    r"(?:\b|(?=n't))(?:none|nothing|nobody|no[ -]one|null|nil|neither|n/?a|not applicable"
    r"|no (?!doubt|problem)"
    r"(?:\w+[ -]){0,4}?\w+|zero|empty"
    rf"|(?:(?<=\w)n't|not|never|unable to|fail(?:ed|s)? to)\b[^.!?\n]{{0,40}}\b{_FIND})\b|^no\b"
    r"|n't (?:any|a single)\b|\bnot (?:any|a single|one)\b",
    re.IGNORECASE,
)
_FINE = re.compile(
    r"(?<!not )(?<!n't )(?<!fully )\b(?:compl(?:y|ies|ied|iant)|in (?:line|order|compliance"
    r"|accordance)"
    r"|within (?:the )?(?:policy|limits|rules)|consistent|correct\w*|accurate\w*|appropriate\w*"
    r"|adher\w+|follow(?:s|ed)|approved|acceptable|aligned|valid)\b",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"\bnot\b|n't\b|\bnever\b|\bcannot\b|\b(?:in|un|non-?)(?:correct|accurate|compl)"
)
_BOTH = re.compile(r"\bNone or\b|\bor None\b")
_RULED_OUT = (
    r"(?i:(?:instead of|rather than|as opposed to|in place of|unlike|ahead of|\b\w{2,20}er than"
    r"|(?:more|less)"
    r" \w+ than|(?:is|are|was)n't|\bnot(?! only\b))\W+(?:(?:the|in|be|a|state|month|of|at|stage"
    r"|agent)\W+){0,3})"
)


def extract(answer: str, task: str | None) -> tuple[str, ...] | None:
    """Return the sorted answers that ``answer`` gives, the deterministic way.

    Args:
        answer: An answer, possibly a sentence.
        task: CRMArena task type; ``None`` splits the text as a list.

    Returns:
        Sorted answers, ``("None",)`` for "nothing found", ``None`` for an empty text.
    """
    plain = answer.replace("\u2019", "'")
    if task is not None:
        names = _EXTRACTORS.get(task, _ids)(plain)
        if names:
            both = ["None"] if _BOTH.search(plain) else []
            return tuple(sorted({*names, *both}))
        if _NOTHING.search(plain) or (_FINE.search(plain) and not _NEGATED.search(plain)):
            return NONE_ANSWER
    return split_answers(answer)


def _without_ruled_out(answer: str, name: str) -> str:
    return re.sub(rf"{_RULED_OUT}(?:{name})\b", " ", answer)


def _ids(answer: str) -> list[str]:
    kept = _without_ruled_out(answer, _ID.pattern)
    return _ID.findall(kept) or _SHORT_ID.findall(answer)


_SHORT_MONTH = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
_CLEAR_MONTHS = "|".join(set(_MONTHS) - {"March", "May"})  # words of no other meaning
_MONTH = re.compile(
    rf"\b(?:({'|'.join(_MONTHS)})|((?i:{_CLEAR_MONTHS}))"
    rf"|({_SHORT_MONTH})\b\.?"
    r"|(?:in|is|of|during|for|:) (march|may))\b(?! be\b)"
)
_YEAR_AND_MONTH = re.compile(r"\d{4}-(0?[1-9]|1[0-2])")
_MODAL_MAY = re.compile(
    r"\bMay (?=(?:I|we|you|he|she|it|they|the|this|that|there|be|not|also|have|require|take"
    r"|vary)\b)"
    r"|\b(?<=[a-z] )May (?=be\b)"
)


def _months(answer: str) -> list[str]:
    answer = _without_ruled_out(_MODAL_MAY.sub(" ", answer), "|".join(_MONTHS))
    word = answer.strip(" .\"'").capitalize()
    if word in ("May", "March") or re.fullmatch(_SHORT_MONTH, word):
        answer = word
    if date := _YEAR_AND_MONTH.fullmatch(word):
        return [_MONTHS[int(date.group(1)) - 1]]
    names = (next(filter(None, match.groups())) for match in _MONTH.finditer(answer))
    return [next(m for m in _MONTHS if m.startswith(name[:3].capitalize())) for name in names]


_NAMED = "|".join(sorted(_STATES, key=len, reverse=True))  # "West Virginia" before "Virginia"
_ANY_STATE = rf"(?:(?i:{_NAMED})|{'|'.join(_STATES.values())})"
_STATE = re.compile(rf"\b(?:((?i:{_NAMED}))|({'|'.join(_STATES.values())}))\b")
_PLACES = (  # a town or a word that looks like a state, before the state
    re.compile(r"\bWashington,? ?(?=D\.? ?C\b)"),
    re.compile(
        rf"\b(?i:{_NAMED}) (?:City|Beach|Springs?|Falls|Heights|County|Park|Island|Point|Grove"
        rf"|Lake)"
        rf",? (?=(?:in )?\(?{_ANY_STATE}\b)"
    ),
    re.compile(rf"\b(?i:{_NAMED}), (?=(?:{'|'.join(_STATES.values())})\b)"),
    re.compile(rf"^(?:OK|HI|OH)[,.!:;]+\s+(?=\W*{_ANY_STATE}\W*$|(?!\W*{_ANY_STATE}\b))"),
    re.compile(rf"\bIN (?=\W?{_ANY_STATE}\b)|(?<=\b[A-Z]{{2}} )OR (?={_ANY_STATE}\b)"),
    re.compile(r"\b(?:ID|ME|IN)(?=\s?:)|\b(?:TELL|GIVE|SHOW) ME\b"),
)


def _states(answer: str) -> list[str]:
    answer = re.sub(r"\bD\. ?C\.?", "DC", answer)
    for place in _PLACES:
        answer = place.sub(" ", answer)
    answer = _without_ruled_out(answer, _ANY_STATE)
    codes = {name.casefold(): code for name, code in _STATES.items()}
    return [codes.get(m.group().casefold(), m.group()) for m in _STATE.finditer(answer)]


_BANT_TOKEN = re.compile(
    r"(?P<factor>\b(?:budget|authority|timeline"
    r"|(?<!\bno )(?<!\bwe )(?<!\bthey )(?<!\bhe )(?<!\bshe )"
    r"(?<!\bwould )(?<!\bwill )(?<!\bmay )need)s?\b(?! to\b| for further| more\b))"
    r"|(?P<met>\bno (?:\w+ )?(?:concern|issue|problem|objection|doubt)s?\b|\bnot (?:an?"
    r"|the) (?:issue|problem"
    r"|concern)\b)"
    r"|(?P<unmet>\b(?:does|do|did|is|are|was|were|has|have|can|could|may|might|be|been)?(?: not"
    r"|n't|not)\b"
    r"(?:\W+\w+){0,3}?\W+(?:met|meet|satisf\w+|qualif\w+|fulfil\w*|confirmed|clear|defined"
    r"|sufficient"
    r"|enough|established|set|in place|adequate|approved|there|align\w*|fit)\b|(?:\bfail\w*"
    r"|\bunable|\bnot able|\byet) to \w+|(?:\bnot|n't|\bnever|\bcannot) (?:yet )?(?:have|has|had)\b"
    r"|\bno (?:\w+ )?(?:clear|defined|confirmed|sufficient|good|strong|established|secured)\b"
    r"|\b(?:has|have|had|there is|with)"
    r" (?:no|not|insufficient|limited|little|yet to)\b(?: (?:clear|defined|confirmed"
    r"|sufficient)\b)?|\b(?:fail\w*|lack\w*|miss(?:es|ing)?|unmet|without"
    r"|insufficient|inadequate|unclear|undefined|weak|absent|short of|(?:un|dis)qualif\w+|due to"
    r"|because|responsible|except|apart from|other than|all but|problem|issue|concern"
    r"|insufficiently"
    r"|falls? short|not|n't|no|cannot|too (?:low|late|long|short|vague|tight|high)|below|gaps?"
    r"|blocks?"
    r"|blocker|reasons?)\b|n't\b|\u2717|\u274c)"
    r"|(?P<good>\b(?:meets?|met|satisf\w+|qualif\w+|fulfil\w*|confirmed|clear(?:ly)?|strong|good"
    r"|pass(?:es|ed)?"
    r"|fine|ok(?:ay)?|in place|sufficient|adequate|established|secured|defined|has|have|yes|present"
    r"|covered|solid|sound)\b|\u2713|\u2705)"
    r"|(?P<end>[.;!?\n]|,?\s\b(?:but|while|whereas|although|though|however|yet)\b)",
    re.IGNORECASE,
)

_UNQUALIFIED = re.compile(
    r"^no\b(?! \w)|(?:\bnot|n't|\bcannot)\b[^.!?\n]{0,20}\bqualif|\b(?:un|dis)qualif", re.I
)


def _bant(answer: str) -> list[str]:
    """Return the factors that are said to be unmet, or "None" if all is said to be met."""
    chunks = list(_chunks(answer))
    kinds = [kind for chunk in chunks for kind, _ in chunk]
    if _UNQUALIFIED.search(answer) and "factor" not in kinds:
        return [answer]
    if "met" in kinds and "unmet" not in kinds and kinds.count("factor") in (0, len(_BANT)):
        return ["None"]
    return [factor for chunk in chunks for factor in _unmet(chunk)]


def _chunks(answer: str) -> Iterator[list[tuple[str, str]]]:
    chunk: list[tuple[str, str]] = []
    for match in _BANT_TOKEN.finditer(answer):
        kind = str(match.lastgroup)
        if kind == "end":
            yield chunk
            chunk = []
        else:
            chunk.append(("met" if kind == "good" else kind, match.group()))
    yield chunk


def _unmet(chunk: list[tuple[str, str]]) -> list[str]:
    """Return the unmet factors of one clause.

    A factor goes with the verdict before it where the clause starts with one ("fails Need"),
    else with the one behind it ("Need is not met"); without a verdict it is an answer itself.
    """
    ordered = chunk if chunk and chunk[0][0] != "factor" else chunk[::-1]
    verdict = next((kind for kind, _ in ordered if kind != "factor"), "unmet")
    unmet = []
    for kind, word in ordered:
        if kind != "factor":
            verdict = kind
        elif verdict == "unmet":
            unmet.append(word.rstrip("sS").capitalize())
    return unmet


_STAGE = re.compile(
    rf"\b(?:{'|'.join(_STAGES)})\b|\b(?i:{'|'.join(_STAGES)})\b(?='? (?:stage|phase)\b|\W*$)"
)
_WANTED = re.compile(
    r"\b(?i:should (?:be|have been)|must be|ought to be|has to be|needs to be|belongs)"
    rf"\W+(?:(?:in|at|to|the|moved|set|changed|updated|stage)\W+){{0,4}}({'|'.join(_STAGES)})\b"
)
_LEFT = re.compile(
    r"(?:\bfrom|\b(?:currently|wrongly|incorrectly|mistakenly|previously|originally|formerly|was"
    r"|were"
    r"|current|present|existing|given|wrong|incorrect)\b(?:\W+(?:stage|name|label|labell?ed"
    r"|marked|listed"
    r"|set|is|of|as|in|at|to|the|value|recorded|assigned|under)\b){0,5}"
    r"|\b(?:record|system|field|entry|CRM)\b \w+|(?:\bis|\bare|'s) (?:labell?ed|marked|listed|set"
    r"|recorded|tagged)(?: as| to| at| in)?(?: the)?"
    rf"|{_RULED_OUT})\W*(?i:{'|'.join(_STAGES)})\b"
    rf"|\b(?:{'|'.join(_STAGES)})\W+(?:stage\W+)?(?:is|was|seems|looks|does)(?: \w+)? (?:wrong"
    rf"|incorrect"
    r"|inaccurate|not|premature|outdated|n't|mis\w+)\b"
    rf"|\b(?:{'|'.join(_STAGES)})\b\W+(?:stage\W+)?(?:should|must|needs? to"
    rf"|has to) (?:be )?(?:replaced|changed"
    r"|moved|updated|corrected)\b"
)


def _stage(answer: str) -> list[str]:
    plain = _LEFT.sub(" ", answer)
    for stages in (_STAGE.findall(plain), _WANTED.findall(plain)):
        names = {name.capitalize() for name in stages}
        if len(names) == 1:
            return list(names)
    return []


_EXTRACTORS: dict[str, Callable[[str], list[str]]] = {
    "best_region_identification": _states,
    "monthly_trend_analysis": _months,
    "lead_qualification": _bant,
    "wrong_stage_rectification": _stage,
}
