import pytest
import torch
import transformers

from hf_prune.models.small_resnet import SmallResNetConfig, SmallResNetForImageClassification
from hf_prune.training.networks import open_trainable
from tests.helpers.tiny_models import build, config_of, edit_config, processor, save

CLASSES = {0: "cat", 1: "dog"}
SMALL = {"widths": [8, 8, 8], "image_size": 16}


def weights(model):
    return torch.cat([value.flatten().float() for value in model.state_dict().values()])


def side(trainable):
    return trainable.processor.size["height"]


def test_a_name_a_config_and_a_function_make_new_models_from_the_generator():
    config = SmallResNetConfig(**SMALL)

    def function():
        return SmallResNetForImageClassification(SmallResNetConfig(**SMALL, num_labels=2))

    for model, size in (("resnet8-half", 32), (config, 16), (function, 24)):
        trainable = open_trainable(model, image_size=size if model is function else None)
        assert side(trainable) == size
        torch.manual_seed(0)
        first, second = trainable.build(CLASSES), trainable.build(CLASSES)
        assert not torch.equal(weights(first), weights(second))
        torch.manual_seed(0)
        assert torch.equal(weights(first), weights(trainable.build(CLASSES)))
        assert first.config.id2label == CLASSES
        assert first.config.label2id == {"cat": 0, "dog": 1}
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1"}, "the caller's config stays as it is"


def test_names_that_a_function_gives_its_classes_stay():
    own = {0: "black", 1: "white"}
    trainable = open_trainable(
        lambda: SmallResNetForImageClassification(SmallResNetConfig(**SMALL, id2label=own)), image_size=8
    )
    assert trainable.build(CLASSES).config.id2label == own


def test_descriptions_tell_models_apart():
    def begun(model):
        torch.manual_seed(0)
        return open_trainable(model, image_size=16).describe(CLASSES)

    def network(**changes):
        return lambda: SmallResNetForImageClassification(SmallResNetConfig(**{**SMALL, **changes}))

    assert begun("resnet8") == "resnet8"
    assert begun(SmallResNetConfig(**SMALL)) == begun(SmallResNetConfig(**SMALL))
    assert begun(SmallResNetConfig(**SMALL)) != begun(SmallResNetConfig(**SMALL, norm="group"))
    assert begun(network()) == begun(network())
    assert begun(network()) != begun(network(num_blocks=2))


def test_a_checkpoint_gives_its_weights_and_its_processor(tmp_path):
    classifier = build(config_of("resnet", num_labels=5), "ResNetForImageClassification")
    folder = save(classifier, tmp_path)
    trainable = open_trainable(folder)
    model = trainable.build(CLASSES)
    assert side(trainable) == 32
    stem = "resnet.embedder.embedder.convolution.weight"
    assert torch.equal(model.state_dict()[stem], classifier.state_dict()[stem])
    assert model.classifier[1].out_features == 2
    assert not torch.equal(model.classifier[1].weight, trainable.build(CLASSES).classifier[1].weight), "a new head"
    five = {number: str(number) for number in range(5)}
    assert torch.equal(weights(trainable.build(five)), weights(classifier)), "a head for as many classes is kept"
    assert set(trainable.description) == {"class", "weights_sha256", "config_sha256"}
    edit_config(folder, layer_norm_eps=0.5)
    assert open_trainable(folder).description != trainable.description
    assert side(open_trainable(folder, image_size=64)) == 64


def test_the_processor_is_a_copy_of_the_given_one():
    given = processor(20)
    assert side(open_trainable("resnet8", processor=given)) == 20
    assert side(open_trainable("resnet8", processor=given, image_size=12)) == 12
    assert given.size["height"] == 20
    assert side(open_trainable("resnet8", image_size=12)) == 12


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (
            "resnet9",
            ValueError,
            r"unknown model 'resnet9'\. Did you mean 'resnet8'\? .* or give a config of transformers",
        ),
        ("no/where", OSError, "no model 'no/where'"),
        (3, TypeError, "model is int, which cannot be begun anew for each training: give a config"),
        (SmallResNetForImageClassification, TypeError, "model is type, which cannot"),
        (
            SmallResNetForImageClassification(SmallResNetConfig(**SMALL)),
            TypeError,
            "is SmallResNetForImageClass.*anew",
        ),
        (config_of("resnet"), ValueError, "does not say how large its images are: give image_size= or processor="),
        (lambda: None, ValueError, "does not say how large its images are"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(model, error, message):
    with pytest.raises(error, match=message) as caught:
        open_trainable(model)
    assert "\n" not in str(caught.value)


def test_what_a_function_builds_is_checked():
    with pytest.raises(TypeError, match="the function gave NoneType: it must build a new model"):
        open_trainable(lambda: None, image_size=8).build(CLASSES)
    model = open_trainable(
        lambda: transformers.AutoModelForImageClassification.from_config(config_of("resnet", num_labels=5)),
        image_size=8,
    )
    with pytest.raises(ValueError, match="for 5 classes, the data set has 2: build it with num_labels=2"):
        model.build(CLASSES)


def test_a_function_is_known_by_the_config_that_it_builds_as_well():
    def built(**settings):
        config = config_of("vit", num_labels=2, **settings)
        torch.manual_seed(0)
        return open_trainable(lambda: build(config, "ViTForImageClassification"), image_size=32).describe(CLASSES)

    assert built() == built()
    assert built(hidden_act="quick_gelu")["first_weights_sha256"] == built()["first_weights_sha256"]
    assert built(hidden_act="quick_gelu") != built()
