"""Folders of generated and real images in, matched by their names; pairs out. Nothing is skipped: what has no partner
is an error that names it.

Research tools put the pair into the name of what they generate, each in its own way; RULES says which are understood.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from signgen.corpora.person.images import DEEPFASHION, IMAGE_ENDING, MARKET, image_key
from signgen.corpora.person.pair_lists import read_rows
from signgen.errors import PairSetError
from signgen.video.reader import IMAGE_SUFFIXES, in_natural_order

_VIS = re.compile(r"_vis$")


@dataclass(frozen=True)
class NameRule:
    """How a generated image's name says its target. text: as printed. separator: between source and target.

    exact: names are equal as written, folders included; otherwise they are of one image of a data set, however spelled.
    """

    name: str
    text: str
    separator: str | None = None
    exact: bool = False


RULES = (
    NameRule("same-name", "a generated image has the name of its truth (folders included, suffix aside)", exact=True),
    NameRule("fpdm", "SOURCE.jpg_2_TARGET.jpg.png, as FPDM writes", ".jpg_2_"),
    NameRule("nted-pidm", "SOURCE_2_TARGET_vis.png, as GFLA, NTED and PIDM write", "_2_"),
    NameRule("pcdms", "SOURCE_to_TARGET.png, as PCDMs writes", "_to_"),
    NameRule(
        "same-image", "a generated image has the name of its truth, spelled as another copy of the data set spells it"
    ),
)


@dataclass(frozen=True)
class ImagePair:
    """name: of the generated image in its folder. source: the key of the source, where the name or list says it."""

    name: str
    generated: Path
    truth: Path
    source: str | None = None


@dataclass(frozen=True)
class MatchedImages:
    """pairs: in the order of the list, or of the generated images' names."""

    rule: NameRule
    pairs: tuple[ImagePair, ...]


def match_images(generated: Path, truth: Path, pair_list: Path | None = None) -> MatchedImages:
    """Pair the images below two folders by the first rule of RULES that all generated names follow.

    pair_list: the pairs that there must be, no more and no fewer; without it every truth image must be somebody's
    target. Raises PairSetError, naming the image, for one without partner, two of one name, or names that can be read
    in two ways.
    """
    ours, theirs = images_below(generated), _Truths(images_below(truth))
    wanted = None if pair_list is None else _wanted(pair_list)
    attempts = [(rule, _Attempt(rule, ours, theirs, wanted)) for rule in RULES]
    rule, best = max(attempts, key=lambda attempt: -len(attempt[1].strangers))  # the first of equals
    for name, (one, other, *_) in best.unclear.items():
        raise PairSetError(f"{ours[name]}: its target may be {one} or {other}", expected=rule.text)
    if best.strangers:
        known = f"{len(best.found)} of {len(ours)} names follow the rule {rule.name}"
        where = truth if wanted is None else f"{pair_list} and {truth}"
        first = best.strangers[0]
        raise PairSetError(
            f"{ours[first]}: its name leads to no pair of {where} ({known})",
            expected="; ".join(f"{rule.name}: {rule.text}" for rule in RULES),
        )
    if wanted is None:
        return MatchedImages(rule, _all_targets(rule, best, ours, theirs, generated, truth))
    return MatchedImages(rule, _all_wanted(rule, best, ours, theirs, wanted, pair_list or truth))


class _Attempt:
    """What one rule makes of the generated names. found: name -> (source key or None, target key).

    unclear: name -> its possible targets, where there are several. strangers: names that lead nowhere.
    """

    def __init__(
        self,
        rule: NameRule,
        ours: Mapping[str, Path],
        theirs: _Truths,
        wanted: Mapping[tuple[str, str], tuple[str, str]] | None,
    ) -> None:
        self.found: dict[str, tuple[str | None, str]] = {}
        self.unclear: dict[str, list[str]] = {}
        self.strangers: list[str] = []
        targets = None if wanted is None else {target for _, target in wanted}
        for name in ours:
            readings = {
                reading
                for reading in _readings(rule, name)
                if theirs.has(reading[1], exact=rule.exact)
                and (wanted is None or _is_wanted(rule, reading, wanted, targets or set()))
            }
            if len(readings) > 1:
                self.unclear[name] = sorted(target for _, target in readings)
            elif readings:
                self.found[name] = readings.pop()
            else:
                self.strangers.append(name)


class _Truths(dict[str, Path]):
    """Name without suffix -> path, and the same by the key that all spellings of it share."""

    def __init__(self, images: Mapping[str, Path]) -> None:
        super().__init__(images)
        self.by_key: dict[str, Path] = {}
        for name, path in images.items():
            key = image_key(name)
            if key in self.by_key:
                raise PairSetError(
                    f"{self.by_key[key]} and {path}: two images of one name", fix="give one set of images"
                )
            self.by_key[key] = path

    def has(self, name: str, *, exact: bool) -> bool:
        return name in (self if exact else self.by_key)


def source_images(matched: MatchedImages, truth: Path, sources: Path | None = None) -> tuple[dict[str, Path], str]:
    """Key of each pair's source -> its image below `sources` (or else below `truth`), and why there are none.

    All are found or none is: a baseline over some of the pairs would not stand beside the model's number. Raises
    PairSetError where `sources` is given and lacks one.
    """
    keys = [pair.source for pair in matched.pairs if pair.source is not None]
    if len(keys) < len(matched.pairs):
        reason = f"the rule {matched.rule.name} does not tell the source"
        if sources is not None:
            raise PairSetError(f"{sources}: {reason}", fix="give the pairs with --pair-list")
        return {}, f"{reason}; --pair-list tells it"
    there = _Truths(images_below(sources or truth)).by_key
    if absent := [key for key in dict.fromkeys(keys) if key not in there]:
        found = f"{absent[0]}{f' and {len(absent) - 1} more sources' if absent[1:] else ''}"
        if sources is not None:
            raise PairSetError(f"{sources}: no image {found}", expected="the source of every pair")
        return {}, f"no image {found} in {truth}; give the sources' folder with --source"
    return {key: there[key] for key in keys}, ""


def _readings(rule: NameRule, name: str) -> Iterator[tuple[str | None, str]]:
    """(source key, target key) for every way to read a name; the separator may occur in names of views (03_2_side)."""
    if rule.exact:
        yield None, name
    elif rule.separator is None:
        if not any(_is_known(s) and _is_known(t) for mark in ("_2_", "_to_") for s, t in _halves(name, mark)):
            yield None, image_key(name)
    else:
        halves = [(source, _VIS.sub("", target)) for source, target in _halves(Path(name).name, rule.separator)]
        known = [(source, target) for source, target in halves if _is_known(source) and _is_known(target)]
        for source, target in known or halves:
            yield image_key(source), image_key(target)


def _halves(name: str, separator: str) -> Iterator[tuple[str, str]]:
    for match in re.finditer(f"(?={re.escape(separator)})", name):
        yield name[: match.start()], name[match.start() + len(separator) :]


def _is_known(name: str) -> bool:
    return bool(DEEPFASHION.key(name) or MARKET.key(name))


def _is_wanted(
    rule: NameRule,
    reading: tuple[str | None, str],
    wanted: Mapping[tuple[str, str], tuple[str, str]],
    targets: set[str],
) -> bool:
    source, target = reading
    return image_key(target) in targets if source is None else (source, target) in wanted


def images_below(folder: Path) -> dict[str, Path]:
    """Every image below, by its name in the folder without suffixes. Raises PairSetError where there are none, or two
    of one name."""
    if not folder.is_dir():
        raise PairSetError(f"{folder}: no such folder", expected="a folder of images")
    names: dict[str, Path] = {}
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(place)
        found += [(here / f).relative_to(folder).as_posix() for f in files if not f.startswith(".")]
    for name in in_natural_order(found):
        if Path(name).suffix.lower() in IMAGE_SUFFIXES:
            stem = IMAGE_ENDING.sub("", name)
            if stem in names:
                raise PairSetError(f"{names[stem]} and {folder / name}: two images of one name", fix="give one of them")
            names[stem] = folder / name
    if not names:
        raise PairSetError(f"{folder}: a folder without images", expected="PNG or JPEG images")
    return names


def _wanted(pair_list: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """(source key, target key) -> the pair as listed, in order. Raises PairSetError for a pair listed twice."""
    wanted: dict[tuple[str, str], tuple[str, str]] = {}
    for source, target in read_rows(pair_list):
        key = image_key(source), image_key(target)
        if key in wanted:
            raise PairSetError(f"{pair_list}: {source} to {target} is listed twice", expected="every pair once")
        wanted[key] = source, target
    return wanted


def _all_targets(
    rule: NameRule, attempt: _Attempt, ours: Mapping[str, Path], theirs: _Truths, generated: Path, truth: Path
) -> tuple[ImagePair, ...]:
    """Pairs of all generated images; every truth is a target, and none is the target of one pair twice."""
    by_name = theirs if rule.exact else theirs.by_key
    taken: dict[tuple[str | None, str], str] = {}
    pairs = []
    for name, (source, target) in attempt.found.items():
        if (source, target) in taken:
            raise PairSetError(f"{ours[taken[source, target]]} and {ours[name]}: two images of one pair")
        taken[source, target] = name
        pairs.append(ImagePair(name, ours[name], by_name[target], source))
    covered = {pair.truth for pair in pairs}
    missing = [path for path in theirs.values() if path not in covered]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise PairSetError(
            f"{missing[0]}{more}: no generated image in {generated} is of it",
            expected=f"one for each of the {len(theirs)} images of {truth}",
            fix="if fewer pairs are meant, give their list with --pair-list",
        )
    return tuple(pairs)


def _all_wanted(
    rule: NameRule,
    attempt: _Attempt,
    ours: Mapping[str, Path],
    theirs: _Truths,
    wanted: Mapping[tuple[str, str], tuple[str, str]],
    pair_list: Path,
) -> tuple[ImagePair, ...]:
    """The listed pairs, in their order."""
    by_pair: dict[tuple[str | None, str], str] = {}
    for one, (source, target) in attempt.found.items():
        pair = source, image_key(target)
        if pair in by_pair:
            raise PairSetError(f"{ours[by_pair[pair]]} and {ours[one]}: two images of one pair")
        by_pair[pair] = one
    pairs, shared = [], set()
    for key, (listed_source, listed) in wanted.items():
        name = by_pair.get(key) or by_pair.get((None, key[1]))
        if name is None:
            raise PairSetError(
                f"{pair_list}: no generated image of {listed_source} to {listed}", expected="one for every listed pair"
            )
        if name in shared:
            raise PairSetError(
                f"{ours[name]}: its name says the target alone, and {pair_list} has several pairs with {listed}",
                fix="name generated images SOURCE_2_TARGET",
            )
        shared.add(name)
        pairs.append(ImagePair(name, ours[name], theirs.by_key[key[1]], key[0]))
    return tuple(pairs)
