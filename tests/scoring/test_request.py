"""A request made from the arguments of a public function."""

from hf_prune.scoring import Request


def test_a_request_takes_the_arguments_of_a_public_function_by_their_names(tmp_path):
    def public(
        ds, encoder, inputs=None, label_column="label", student="other", load_from_cache_file=True, cache_dir=None
    ):
        unrelated = len(ds)
        assert unrelated
        return Request.of(locals(), student=None)

    found = public([1], "pixels", inputs={"labels": [0]}, cache_dir=tmp_path)
    assert found == Request(
        encoder="pixels", given={"labels": [0]}, label_column="label", student=None, store_root=tmp_path
    )
    assert public([1], "pixels", load_from_cache_file=False).store_root is None
