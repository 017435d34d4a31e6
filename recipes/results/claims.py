"""The seven claims of the paper, and the statements that are measured of each.

The statements were written before the tables from pixels were there, from what the paper says; a statement whose cells are
missing is "not run" and leaves its claim open.
"""

from judged import MARGIN, Arms, Claim, Statement, difference, from_more
from measured import (
    AUTO,
    AUTO_UNASKED,
    CORRUPTED,
    EASY,
    FINETUNE,
    FLOORS,
    FULL,
    GRID,
    HARD,
    ITERATIONS,
    LONGER,
    NONE,
    RANDOM,
    SCALING,
    SHIFTED,
    TRANSFER,
)

EL2N, PROTOTYPES, SUPERVISED, MEMORIZATION = "el2n", "prototypes", "supervised_prototypes", "memorization"
PIXELS, HEADS = "network from pixels", "heads on features"


def grid(metric: str, rule: str, keep: float, data: str = "cifar10", **more: str) -> Arms:
    """Arms of the grid of networks from pixels."""
    return Arms(GRID, data, metric, rule, keep, **more)


def longer(passes: int, metric: str, rule: str, keep: float) -> Arms:
    """Arms of the students that passed more often over what they were trained on."""
    return Arms(LONGER[passes], "cifar10", metric, rule, keep)


def scaling(rule: str, rows: int, keep: float = 0.8) -> Arms:
    """Arms of linear students on features, by initial size."""
    return Arms(SCALING, "cifar10", NONE if rule == RANDOM else EL2N, rule, keep, rows=rows)


def floors(metric: str, rule: str, keep: float, floor: str = "floor 0.5") -> Arms:
    """Arms of heads on the features of the encoder of the package."""
    return Arms(FLOORS, "cifar10", metric, rule, keep, setting="" if metric == NONE else floor)


def shifted(metric: str, rule: str, keep: float) -> Arms:
    """The same, judged on corrupted images."""
    return Arms(SHIFTED, "cifar10", metric, rule, keep, setting=CORRUPTED)


def finetuned(rule: str, keep: float, data: str) -> Arms:
    """Arms of a pretrained network that was fine-tuned."""
    return Arms(FINETUNE, data, EL2N if rule == AUTO else NONE, rule, keep)


def transferred(metric: str, rule: str, keep: float) -> Arms:
    """Arms of networks from pixels that were fine-tuned on photographs."""
    return Arms(TRANSFER, "photographs", metric, rule, keep)


ALL_PIXELS = grid(NONE, FULL, 1.0)

CLAIMS = (
    Claim(
        1,
        "Faster than a power law",
        "Error falls as a power law of the rows, with a small exponent. With the right share of the right rows it falls "
        "faster, provided that the share shrinks as the data grow.",
        [
            Statement(
                f"gain of the better end of EL2N over random rows, {kept:,} rows kept out of {more:,} less as many out of {fewer:,}, {HEADS}",
                from_more(kept, (more, fewer)),
            )
            for kept, more, fewer in ((4_000, 20_000, 5_000), (2_000, 10_000, 2_500))
        ],
        "To fall faster than a power law, as many rows have to be worth more the larger the set is that they are chosen from. Linear "
        "students on the features of a supervised encoder, at equal epochs of their initial set. The theory itself agrees with "
        "simulations in [the perceptron's recipe](../recipes/perceptron-theory); this asks whether images show it.",
    ),
    Claim(
        2,
        "Hard rows when data is abundant, easy rows when it is scarce",
        "Where there are many rows, keep the hard ones; where there are few, the easy ones.",
        [
            Statement(
                f"hard less easy, EL2N at 80 %, 20,000 rows, {HEADS}",
                difference(scaling(HARD, 20_000), scaling(EASY, 20_000)),
            ),
            Statement(
                f"easy less hard, EL2N at 80 %, 500 rows, {HEADS}",
                difference(scaling(EASY, 500), scaling(HARD, 500)),
            ),
            Statement(
                f"hard less easy, EL2N at 70 %, most rows of CIFAR-10, {PIXELS}",
                difference(grid(EL2N, HARD, 0.7), grid(EL2N, EASY, 0.7)),
            ),
            Statement(
                f"easy less hard, EL2N at 70 %, photographs, {PIXELS}",
                difference(grid(EL2N, EASY, 0.7, "photographs"), grid(EL2N, HARD, 0.7, "photographs")),
            ),
        ],
        "At 20 and 40 % kept easy rows stay ahead at every size that was tried with heads, so that the turn is one of mild cuts.",
    ),
    Claim(
        3,
        "Better than random rows in practice",
        "With ResNets on CIFAR-10, SVHN and ImageNet, error falls faster with the right rows than with random ones.",
        [
            Statement(
                f"EL2N, hard less random rows, at 70 % of CIFAR-10, {PIXELS}",
                difference(grid(EL2N, HARD, 0.7), grid(NONE, RANDOM, 0.7)),
            ),
            Statement(
                f"EL2N, hard less random rows, at 70 % of CIFAR-10, {PIXELS}, 30 passes",
                difference(longer(30, EL2N, HARD, 0.7), longer(30, NONE, RANDOM, 0.7)),
            ),
            Statement(
                f"forgetting, hard less random rows, at 70 % of CIFAR-10, {PIXELS}",
                difference(grid("forgetting", HARD, 0.7), grid(NONE, RANDOM, 0.7)),
            ),
            Statement(
                f"EL2N, hard less random rows, at 70 % of Fashion-MNIST, {PIXELS}",
                difference(grid(EL2N, HARD, 0.7, "fashion-mnist"), grid(NONE, RANDOM, 0.7, "fashion-mnist")),
            ),
            Statement(
                f"`auto` less all rows, EL2N at 70 % of CIFAR-10, {PIXELS}",
                difference(grid(EL2N, AUTO, 0.7), ALL_PIXELS),
                MARGIN,
            ),
            Statement(
                f"`auto` less all rows, EL2N at 70 % of CIFAR-10, {PIXELS}, 30 passes",
                difference(longer(30, EL2N, AUTO, 0.7), longer(30, NONE, FULL, 1.0)),
                MARGIN,
            ),
            *(
                Statement(
                    f"`auto` that asked no heads, less all rows, EL2N at 70 % of CIFAR-10, {PIXELS}, {passes} passes",
                    difference(longer(passes, EL2N, AUTO_UNASKED, 0.7), longer(passes, NONE, FULL, 1.0)),
                    MARGIN,
                )
                for passes in (30, 60)
            ),
        ],
        "The networks are small and most are trained for few epochs, where every step still helps and what is kept makes fewer: at equal "
        "epochs that counts against any cut. The statements about longer trainings were added when those of shorter ones were known, before "
        "their own table was there ([below](#trained-for-longer)); that `auto` keeps hard rows here where it asks no heads was known. SVHN and ImageNet were not run: their recipes are complete, see [svhn-el2n](../recipes/svhn-el2n) and "
        "[imagenet-prototypes](../recipes/imagenet-prototypes).",
    ),
    Claim(
        4,
        "Prototypes without labels match the best metrics",
        "Of ten metrics most beat random rows and few lose nothing at 80 % kept. Memorization and both kinds of prototypes do, "
        "and prototypes of a self-supervised encoder match memorization down to 70 to 80 %, without a label.",
        [
            Statement(
                f"prototypes, hard less all rows, at 80 % of CIFAR-10, {PIXELS}",
                difference(grid(PROTOTYPES, HARD, 0.8), ALL_PIXELS),
                MARGIN,
            ),
            Statement(
                f"prototypes less memorization, hard at 70 % of CIFAR-10, {PIXELS}",
                difference(grid(PROTOTYPES, HARD, 0.7), grid(MEMORIZATION, HARD, 0.7)),
                MARGIN,
            ),
            Statement(
                f"memorization, hard less all rows, at 90 % of CIFAR-10, {PIXELS}",
                difference(grid(MEMORIZATION, HARD, 0.9), ALL_PIXELS),
                MARGIN,
            ),
            Statement(
                f"prototypes, hard less all rows, at 80 % of CIFAR-10, {HEADS}",
                difference(floors(PROTOTYPES, HARD, 0.8), floors(NONE, FULL, 1.0)),
                MARGIN,
            ),
            Statement(
                f"supervised prototypes, hard less all rows, at 80 % of CIFAR-10, {HEADS}",
                difference(floors(SUPERVISED, HARD, 0.8), floors(NONE, FULL, 1.0)),
                MARGIN,
            ),
            Statement(
                f"prototypes, hard less random rows, at 80 % of CIFAR-10, {HEADS}",
                difference(floors(PROTOTYPES, HARD, 0.8), floors(NONE, RANDOM, 0.8)),
            ),
        ],
        "The encoder is the small one of the package, self-supervised on the images of CIFAR-10, far below the SwAV of the "
        "paper; memorization is by a few networks where the paper's scores are of 2,000.",
    ),
    Claim(
        5,
        "Every metric unbalances the classes",
        "What a metric keeps is less balanced than random rows are; a floor of half an equal share per class mends it.",
        [
            Statement(
                f"random rows less {metric} hard without a floor, at 50 %, rows left of the class that is left fewest, {HEADS}",
                difference(floors(NONE, RANDOM, 0.5), floors(metric, HARD, 0.5, "floor 0"), "least_share"),
                unit="% of an equal share",
            )
            for metric in (EL2N, PROTOTYPES, SUPERVISED)
        ],
        "Of ten classes of one size the floor of one half hardly ever binds: see [class floors](#class-floors), where a floor of one evens "
        "them out. Metrics of the paper that need thousands of networks were not asked.",
    ),
    Claim(
        6,
        "A pruned set transfers, and holds under a shift",
        "A ViT fine-tuned on a tenth of CIFAR-10 is at least as good as one fine-tuned on all of it, a network pretrained on "
        "half of ImageNet as good for fine-tuning as one pretrained on all, and on shifted test sets a pruned set at 60 % is "
        "about equal to a matched baseline.",
        [
            Statement(
                "pretrained on the hard half less on all of CIFAR-10, EL2N, fine-tuned on photographs",
                difference(transferred(EL2N, HARD, 0.5), transferred(NONE, FULL, 1.0)),
                MARGIN,
            ),
            *(
                Statement(
                    f"fine-tuned on the half that `auto` keeps less on all rows, {data}",
                    difference(finetuned(AUTO, 0.5, data), finetuned(FULL, 1.0, data)),
                    MARGIN,
                )
                for data in ("cifar10", "photographs")
            ),
            Statement(
                f"EL2N hard at 60 % less random rows, corrupted test images, {HEADS}",
                difference(shifted(EL2N, HARD, 0.6), shifted(NONE, RANDOM, 0.6)),
                MARGIN,
            ),
            Statement(
                f"prototypes hard at 60 % less random rows, corrupted test images, {HEADS}",
                difference(shifted(PROTOTYPES, HARD, 0.6), shifted(NONE, RANDOM, 0.6)),
                MARGIN,
            ),
        ],
        "The networks fine-tuned here are convolutional and small, on a few thousand rows for three epochs, at equal epochs: half "
        "of the rows are half of the steps, and there all steps still help. A ViT on a tenth of CIFAR-10 is "
        "[a complete recipe](../recipes/paper/README.md#a-vit-on-a-tenth-of-a-set) and was not run.",
    ),
    Claim(
        7,
        "Equal iterations add a little",
        "The comparison is at equal epochs. With as many iterations as all rows get, what is kept trains a little better still.",
        [
            Statement(
                f"as many steps as all rows get less as many epochs, {name} at 70 % of CIFAR-10, {PIXELS}",
                difference(grid(metric, rule, 0.7, table=ITERATIONS), grid(metric, rule, 0.7)),
            )
            for name, metric, rule in (("EL2N, hard", EL2N, HARD), ("random rows", NONE, RANDOM))
        ],
        "How much the gain saturates was not asked.",
    ),
)
