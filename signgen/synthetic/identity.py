"""A seed in, Identity out: how one drawn person is built, coloured, dressed and lit, and what is behind them.

Lengths are in shoulder widths (the distance between the shoulder joints) unless a field says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]  # RGB, 0 to 255

SKINS: tuple[Colour, ...] = (
    (238, 192, 165),
    (228, 176, 146),
    (214, 160, 128),
    (196, 140, 106),
    (166, 112, 82),
    (128, 84, 60),
    (92, 60, 44),
)
HAIRS: tuple[Colour, ...] = (
    (30, 26, 26),
    (52, 36, 28),
    (84, 56, 38),
    (124, 84, 52),
    (196, 160, 104),
    (216, 190, 140),
    (138, 62, 34),
    (150, 148, 146),
)
IRISES: tuple[Colour, ...] = ((66, 44, 30), (86, 64, 40), (70, 98, 118), (84, 104, 80))
STYLES = ("short", "crop", "bob", "long", "bun", "curly")
NECKLINES = ("vee", "round", "collar")
CLOTHES: tuple[Colour, ...] = ((34, 36, 40), (28, 30, 32), (40, 44, 58), (58, 36, 44), (44, 56, 50), (70, 72, 78))
BRIGHT_CLOTHES: tuple[Colour, ...] = ((150, 40, 46), (52, 92, 140), (196, 190, 180), (70, 120, 96), (206, 160, 70))


@dataclass(frozen=True)
class Identity:
    """Everything about a signer that does not move. `Identity.random(seed)` makes one."""

    name: str
    seed: int
    # colours
    skin: Colour
    lips: Colour
    hair: Colour
    iris: Colour
    cloth: Colour
    stripe: Colour | None
    # build
    size: float  # shoulder width as a fraction of Phoenix's 86 px at 210x260
    centre: tuple[float, float]  # the middle of the shoulders, as a fraction of the frame
    head: float  # factor on the head's height
    head_width: float  # factor on its width
    jaw: float  # factor on the width of the jaw
    neck: float
    upper_arm: float
    forearm: float
    hand: float  # wrist to middle fingertip
    fingers: float  # factor on finger thickness
    girth: float  # factor on limb and torso thickness
    # face
    eye: float  # factors on the size of features
    nose: float
    mouth: float
    brow: float
    beard: float  # 0 none, otherwise its darkness
    hairline: float
    hair_style: str
    hair_volume: float
    parting: float
    # clothes
    neckline: str
    sleeve: float  # of the forearm, the part that is covered
    buttons: bool
    # studio
    light: tuple[float, float, float]  # unit vector to the light; x right, y down, z to the camera
    ambient: float
    backdrop: tuple[Colour, Colour, Colour]  # top, middle, bottom
    softness: float  # of the lens, pixels at Phoenix's size
    ledge: bool  # the light strip at the bottom of Phoenix's studio

    @classmethod
    def random(cls, seed: int, name: str | None = None) -> Identity:
        """The signer with this number; equal seeds give equal signers."""
        rng = np.random.default_rng([seed, 0x1D])
        skin = _vary(SKINS[rng.integers(len(SKINS))], 8, rng)
        hair = _vary(HAIRS[rng.integers(4 if sum(skin) < 400 else len(HAIRS))], 8, rng)
        bright = rng.random() < 0.3
        cloth = _vary((BRIGHT_CLOTHES if bright else CLOTHES)[rng.integers(5)], 8, rng)
        light = np.array([rng.uniform(-0.7, 0.7), rng.uniform(-0.9, -0.4), 1.0])
        style = STYLES[rng.integers(len(STYLES))]
        return cls(
            name=name or f"Signer{seed:02d}",
            seed=seed,
            skin=skin,
            lips=_mix(skin, (168, 70, 72), rng.uniform(0.35, 0.75)),
            hair=hair,
            iris=_vary(IRISES[rng.integers(2 if sum(skin) < 400 else 4)], 6, rng),
            cloth=cloth,
            stripe=_mix(cloth, (225, 225, 225), 0.3) if rng.random() < 0.15 else None,
            size=rng.uniform(0.88, 1.04),
            centre=(0.5 + rng.uniform(-0.05, 0.05), 0.505 + rng.uniform(-0.02, 0.03)),
            head=rng.uniform(1.0, 1.12),
            head_width=rng.uniform(0.97, 1.09),
            jaw=rng.uniform(0.88, 1.1),
            neck=rng.uniform(0.92, 1.15),
            upper_arm=rng.uniform(0.95, 1.06),
            forearm=rng.uniform(0.8, 0.88),
            hand=rng.uniform(0.58, 0.66),
            fingers=rng.uniform(0.88, 1.15),
            girth=rng.uniform(0.88, 1.14),
            eye=rng.uniform(0.9, 1.15),
            nose=rng.uniform(0.85, 1.2),
            mouth=rng.uniform(0.9, 1.15),
            brow=rng.uniform(0.75, 1.4),
            beard=rng.uniform(0.35, 0.9) if style in ("short", "crop") and rng.random() < 0.35 else 0.0,
            hairline=rng.uniform(-0.3, -0.2),
            hair_style=style,
            hair_volume=rng.uniform(0.03, 0.07),
            parting=rng.uniform(-0.6, 0.6),
            neckline=NECKLINES[rng.integers(len(NECKLINES))],
            sleeve=float(rng.choice([0.92, 0.88, 0.6, 0.0], p=[0.5, 0.2, 0.15, 0.15])),
            buttons=bool(rng.random() < 0.4),
            light=tuple((light / np.linalg.norm(light)).tolist()),
            ambient=rng.uniform(0.12, 0.32),
            backdrop=_backdrop(rng),
            softness=rng.uniform(0.3, 0.6),
            ledge=bool(rng.random() < 0.4),
        )


def _backdrop(rng: np.random.Generator) -> tuple[Colour, Colour, Colour]:
    """Mostly Phoenix's grey studio with a darker band across the middle; sometimes a coloured wall."""
    if rng.random() < 0.65:
        grey = np.array([rng.uniform(176, 216), rng.uniform(128, 160), rng.uniform(190, 226)])
        tint = np.array([rng.uniform(-6, 2), 0, rng.uniform(0, 12)])
        top, middle, bottom = (tuple((level + tint).tolist()) for level in grey)
        return top, middle, bottom
    wall = rng.uniform(70, 210, 3) * 0.4 + rng.uniform(80, 200) * 0.6
    top, middle, bottom = (tuple((wall * factor).tolist()) for factor in (rng.uniform(0.85, 1.1), 1.0, 0.85))
    return top, middle, bottom


def _vary(colour: Colour, amount: float, rng: np.random.Generator) -> Colour:
    red, green, blue = np.clip(np.array(colour) + rng.normal(0, amount) + rng.normal(0, amount / 3, 3), 8, 245)
    return float(red), float(green), float(blue)


def _mix(a: Colour, b: Colour, amount: float) -> Colour:
    red, green, blue = (1 - amount) * np.array(a) + amount * np.array(b)
    return float(red), float(green), float(blue)
