"""What each number means, word for word as it is printed beside the scores; and the protocol they were taken under.

`signgen compare` takes numbers for the same where these texts are, so that whose function gives a number stands beside
them, in IMPLEMENTATIONS.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from signgen.metrics.image.pixels import PSNR_CAP
from signgen.poses.parts import SCORE_THRESHOLD

BOX_MARGIN = 0.15
STATIC_THRESHOLD = 8

_SSIM = "Gaussian window 11x11, sigma 1.5, data range 255, K1 .01, K2 .03, mean of R, G and B"
_PSNR = f"10 log10(255^2 / mean squared error over R, G and B), capped at {PSNR_CAP:g} dB"
_BOX = (
    f"bounding box of the keypoints with a score of at least {SCORE_THRESHOLD:g}, grown on every side by "
    f"{BOX_MARGIN:.0%} of its longer side and cut to the frame; none where fewer than half of the keypoints are there"
)
_HANDS = f"all pixels in the box of the left or the right hand (a pixel in both counts once; {_BOX})"
_HAND_MEAN = "the mean is over the frames in which at least one hand has a box"
FINGER_SHARE = 0.1  # of the hand's size
NON_MANUAL_PARTS = ("mouth", "eyes", "brows")
CROP_SIDE = 256  # px, of the crops of the preset signrefine
CROP_REGIONS = ("face", "left_hand", "right_hand")
PCK_SHARES = {"pck_10": 0.1, "pck_20": 0.2}  # of the shoulder width

_SEEN = f"points with a score of at least {SCORE_THRESHOLD:g} in both; a point unseen in either does not count"
_UNIT = "the truth's median shoulder width over the clip"
_LPIPS = {
    "": "LPIPS v0.1, AlexNet, RGB in [-1, 1]; 0 is identical, lower is better",
    "_vgg": "LPIPS v0.1, VGG-16, RGB in [-1, 1]; 0 is identical, lower is better",
}
_ENLARGED = (
    "neither padded nor brought to one size, but enlarged by OpenCV's bicubic, its sides in proportion, where its "
    "shorter side has fewer than the 64 pixels that AlexNet needs (VGG-16 is shown the same pixels)"
)
_FLOW = (
    "motion is OpenCV's DIS flow (preset medium) from truth(t) to truth(t-1) on luma; a pixel is seen in both where it "
    "stays in the frame and the flow back disagrees by |f + b|^2 <= .01 (|f|^2 + |b|^2) + .5"
)
_FVD = "Fréchet distance between features of 16-frame windows without overlap, generated and true; 0 is best"
_CROP = (
    "the crop: a square around the middle of the region's box, as long as its longer side and moved into the frame, "
    f"resized to {CROP_SIDE}x{CROP_SIDE} (OpenCV's bicubic, area where it is larger); box: {_BOX}; the mean is over "
    "the frames that have the region"
)

DEFINITIONS = {
    "ssim": f"Structural similarity, whole frame: {_SSIM}; mean over the pixels whose window lies inside the frame.",
    "psnr": f"Whole frame, in dB: {_PSNR}; the mean is over the frames' dB values.",
    "hand_ssim": f"Mean of the whole frame's SSIM map ({_SSIM}) over {_HANDS}; {_HAND_MEAN}.",
    "hand_psnr": f"In dB: {_PSNR}, the error taken over {_HANDS}; {_HAND_MEAN}.",
    "hand_sharpness": "Gradient energy (squared central differences of luma, dx^2 + dy^2) of the generated frames "
    f"divided by the truth's, each summed over {_HANDS}; of several frames the ratio of the sums over all of them (a "
    "frame whose hand is a blur in the truth counts little); 1 is as sharp as the truth, less is blurred, noise raises "
    "it.",
    "face_ssim": f"Mean of the whole frame's SSIM map ({_SSIM}) over the face box ({_BOX}); "
    "the mean is over the frames in which the face has a box.",
    "face_psnr": f"In dB: {_PSNR}, the error taken over the face box ({_BOX}); "
    "the mean is over the frames in which the face has a box.",
    "ms_ssim": "MS-SSIM (Wang et al. 2003), whole frame: product over five scales, the terms averaged over R, G and B; "
    "none of frames below 176x176.",
    **{
        f"{part}lpips{net}": f"{text}, {what}."
        for net, text in _LPIPS.items()
        for part, what in (
            ("", "whole frame at this size"),
            (
                "hand_",
                f"of what is in the box of each hand ({_BOX}), {_ENLARGED}; mean of the frame's hands; {_HAND_MEAN}",
            ),
            (
                "face_",
                f"of what is in the face box ({_BOX}), {_ENLARGED}; the mean is over the frames in which the face has "
                "a box",
            ),
        )
    },
    "flicker": "Mean |generated(t) - generated(t-1)| on the 0..255 scale over R, G, B and the pixels where the truth "
    f"is static (no channel changes by more than {STATIC_THRESHOLD} from t-1 to t); at best equal to flicker_truth; a "
    "frozen video has 0, so read it beside the hand scores.",
    "flicker_truth": "The truth's own mean |truth(t) - truth(t-1)| over the same static pixels.",
    "flicker_excess": "flicker - flicker_truth: how much more than the truth static regions change; 0 is best, a "
    "frozen video is below it.",
    "successive_ssim": f"SSIM of generated(t) with generated(t-1), whole frame: {_SSIM}; 1 for a frozen video, so read "
    "it beside the truth's.",
    "successive_ssim_truth": "The truth's own SSIM of truth(t) with truth(t-1).",
    "successive_ssim_difference": "Mean of |successive_ssim - successive_ssim_truth| frame by frame; 0 is best; it "
    "does not see whether the right things moved.",
    "warping_error": "Mean |generated(t) - generated(t-1) moved along the truth's motion| on the 0..255 scale over R, "
    f"G, B and the pixels seen in both frames of the truth; {_FLOW}; at best near warping_error_truth; a frozen video "
    "is low where little moves, so read it beside the hand scores.",
    "warping_error_truth": "The same of the truth itself: what compression, noise and the flow's own errors leave.",
    **{
        f"{prefix}{name}": f"PCK@{share:g}: share of the keypoints of {which} that lie within {share:g} of {_UNIT} "
        f"from the truth's, over {_SEEN}; 1 is best; the mean is over the frames that have such points."
        for name, share in PCK_SHARES.items()
        for prefix, which in (("", "body (legs left out) and hands"), ("hand_", "both hands"))
    },
    **{
        f"{part}_joint_error": f"Mean distance of the {which}'s keypoints from the truth's, in units of {_UNIT}, over "
        f"{_SEEN}; the mean is over the frames that have such points."
        for part, which in (("body", "body (legs left out)"), ("hand", "hands"), ("face", "face"))
    },
    "dtw_mje": "DTW-MJE: mean joint error over body (legs left out) and hands along the path of dynamic time warping "
    f"with the least sum of it, divided by the path's length, in units of {_UNIT}, over {_SEEN}; positions are those "
    "in the frame, not aligned; 0 for the same movement at any speed; of several clips, the mean of theirs.",
    **{
        f"finger_pck{suffix}": f"Finger PCK@{FINGER_SHARE:g}{of}: share of the finger points of the truth's keypoints "
        "(hands of which at least half is seen, without wrists) at which the estimator, looking at the "
        f"{which} frame, sees that point within {FINGER_SHARE:g} of the hand's size (the longer side of what is seen "
        f"of it); a point that it does not see is missed{tail}."
        for suffix, of, which, tail in (
            ("", "", "generated", "; read it beside finger_pck_truth"),
            ("_truth", " of the truth itself", "true", ": what can be reached"),
        )
    },
    "finger_pck_share": "Finger points that the estimator places right in the generated frames, divided by those that "
    "it places right in the true ones, summed over all frames: 1 is as readable as the truth.",
    "hands_found": "Reads as a hand: share of the hands of the truth's keypoints for which the estimator, looking at "
    "the generated frame, finds at least half of a hand's points there (its middle within a hand's size).",
    "hands_found_truth": "The same, looking at the true frame: what can be reached.",
    **{
        f"{name}_r": f"Pearson's correlation of the {what} between generated clip and truth, over the frames in which "
        "both are seen, in units of the face; 1 is best."
        for name, what in (
            ("mouth_opening", "opening of the mouth (inner lips)"),
            ("mouth_width", "width of the mouth"),
            ("eye_opening", "opening of the eyes (height over width)"),
            ("brow_height", "height of the brows over the eyes"),
        )
    },
    **{
        f"head_{name}_error": f"Mean absolute difference of the head's {name} from the truth's, in degrees, by a rigid "
        "face of average proportions fitted to nose, chin, eyes and mouth."
        for name in ("yaw", "pitch", "roll")
    },
    "blink_f1": "F1 of blinks: eyes closed to under .6 of the clip's median opening for at most half a second, matched "
    "one to one where they overlap or lie two frames apart.",
    **{
        f"{part}_ssim": f"Mean of the whole frame's SSIM map ({_SSIM}) over the box of the {part} ({_BOX}); the mean "
        "is over the frames that have it."
        for part in NON_MANUAL_PARTS
    },
    **{f"{part}_sharpness": f"As hand_sharpness, in the box of the {part}." for part in NON_MANUAL_PARTS},
    **{
        f"crop_{region}_{kind}": f"{what.format(region.replace('_', ' '))}; {_CROP}."
        for region in CROP_REGIONS
        for kind, what in (
            (
                "mpjpe",
                f"Mean distance of the {{}}'s points, of 133, in pixels of the {CROP_SIDE}x{CROP_SIDE} crop, between "
                f"what one estimator (named in the notes) sees in the whole generated and true frame, over {_SEEN}",
            ),
            ("lpips_vgg", f"{_LPIPS['_vgg']}, of the {{}}'s crop"),
            ("ssim", f"Structural similarity of the {{}}'s crop: {_SSIM}, over the pixels whose window lies inside"),
        )
    },
    **{
        f"read_{view}{suffix}": text
        for view, shown in (("body", "the upper body with its hands"), ("hands", "the crops of both hands alone"))
        for suffix, text in (
            ("", f"Share of the signs that a reader, trained on drawn people, reads right from {shown} in the clip."),
            ("_truth", f"The same of the true frames of the same signs, from {shown}: what can be reached."),
            ("_share", f"The first divided by the second, from {shown}: 1 is as readable as the truth."),
        )
    },
    "fid": "Fréchet distance between pytorch-fid's Inception-v3 features of the generated and the true frames, resized "
    "to 299x299, bilinear; 0 is best; blind to the order of frames.",
    "fvd": f"{_FVD}, each frame resized to 224x224, features of the I3D of i3d_torchscript.pt (Kinetics-400).",
    "fvd_r3d": f"{_FVD}, each frame resized to 112x112, features of torchvision's R3D-18 (Kinetics-400); not "
    "comparable with I3D's.",
}
BASELINE_DEFINITIONS = {
    "copy-source": "The source frame repeated (of a set, each pair's source image): what a model that does nothing "
    "scores.",
    "nearest-pose": "For each target pose the frame with the closest pose among the training frames of this signer.",
    "vae": "The truth through the model's canvas and VAE and back: more than a model that draws in this VAE's latents "
    "can be expected to reach.",
}
CEILING = "vae"  # stands beside the baselines, and is nobody to beat

# What stands in a metric's name -> whose function gives it, and why not torchmetrics'; docs/metrics.md measures.
IMPLEMENTATIONS = {
    "wer": "torchmetrics' counts, the quotient in float64",
    "bleu": "sacrebleu's: its signature is what papers give, and it smooths orders without a match, where torchmetrics "
    "has 0",
    "rouge_l": "signgen's: b = 1.2, as the sign-language translation work has it; torchmetrics takes b = 1",
    "ms_ssim": "signgen's, equal to torchmetrics' with normalize=relu to 1e-6 (images of sets to 1e-9), whose "
    "convolutions take 20 times as long",
    "ssim": "signgen's: the protocols' windows and ranges; torchmetrics averages the mirrored borders in",
    "psnr": "signgen's: torchmetrics' but for the cap; of identical images it has infinity, and so has the mean",
    "fid": "signgen's: the root by singular values; torchmetrics' eigenvalues lose half of the digits where there are "
    "fewer images than features",
    "fvd": "signgen's, as FID; torchmetrics has none",
    "kid": "signgen's: over all images; torchmetrics' is the mean over random subsets, and keeps all features in "
    "memory",
    "recall": "signgen's: ranks counted in blocks; torchmetrics' retrieval keeps a number for each pair of query and "
    "entry",
    "rank": "signgen's: counted in blocks; torchmetrics' retrieval has no ranks",
}


def implementations_of(metrics: Iterable[str]) -> dict[str, str]:
    """Metric -> whose function gives it, of those for which torchmetrics has one, or is asked for one.

    >>> list(implementations_of(["hand_ssim", "flicker"]))
    ['hand_ssim']
    """
    found = {name: next((text for part, text in IMPLEMENTATIONS.items() if part in name), "") for name in metrics}
    return {name: text for name, text in found.items() if text}


WHOLE_METRICS = ("ssim", "psnr")
POSE_METRICS = (
    *("body_joint_error", "hand_joint_error", "face_joint_error"),
    *(f"{prefix}{name}" for prefix in ("", "hand_") for name in PCK_SHARES),
)
DISTRIBUTION_METRICS = ("fid", "fvd", "fvd_r3d")
LPIPS_METRICS = ("lpips", "hand_lpips", "face_lpips")
LPIPS_VGG_METRICS = ("lpips_vgg", "hand_lpips_vgg", "face_lpips_vgg")
HAND_METRICS = ("hand_ssim", "hand_psnr", "hand_sharpness")
FACE_METRICS = ("face_ssim", "face_psnr")
READING_METRICS = tuple(f"read_{view}{suffix}" for view in ("body", "hands") for suffix in ("", "_truth", "_share"))
CROP_METRICS = tuple(f"crop_{region}_{kind}" for region in CROP_REGIONS for kind in ("mpjpe", "lpips_vgg", "ssim"))
FINGER_METRICS = ("finger_pck", "finger_pck_truth", "finger_pck_share", "hands_found", "hands_found_truth")
NON_MANUAL_METRICS = (
    *(f"{name}_r" for name in ("mouth_opening", "mouth_width", "eye_opening", "brow_height")),
    *(f"head_{name}_error" for name in ("yaw", "pitch", "roll")),
    "blink_f1",
)
SEQUENCE_METRICS = ("dtw_mje", *NON_MANUAL_METRICS)
NON_MANUAL_BOXES = tuple(f"{part}_{kind}" for part in NON_MANUAL_PARTS for kind in ("ssim", "sharpness"))
# A metric of several frames that is a ratio of sums: the columns of the per-frame table that are summed.
RATIOS = {
    **{f"{p}_sharpness": (f"{p}_gradient", f"{p}_gradient_truth") for p in ("hand", *NON_MANUAL_PARTS)},
    "finger_pck_share": ("finger_hits", "finger_hits_truth"),
}


@dataclass(frozen=True)
class ScoringProtocol:
    """Where and how scores are taken; its text stands at the head of every metrics file.

    size_kind: "native" (the truth's own size) or "canvas" (the model's, not comparable with native scores).
    """

    name: str = "signgen-video"
    size_kind: str = "native"

    def text(self, width: int, height: int) -> str:
        """One line: name, pixels compared, averaging."""
        place = "the truth's native size" if self.size_kind == "native" else "the model's canvas, NOT the native size"
        return f"{self.name}: 8-bit RGB frames at {place} ({width}x{height}), means of per-frame values"
