"""Nearest latents against brute force and scikit-learn; packed binary codes against their bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

import latentrl as lrl
from latentrl.models.arrays import CHUNK

LENGTHS = [1, 7, 8, 13, 24, 32, 40, 64, 65, 100, 128, 200]


def random_bits(count: int, length: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 2, (count, length), np.uint8)


@pytest.fixture(scope="module")
def hashing(images: Any) -> lrl.Autoencoder:
    """Random weights and, for codes that differ, thresholds at the median of each logit."""
    torch.manual_seed(0)
    backbone = {"name": "conv", "channels": (8, 8), "hidden": 32}
    model = lrl.binary_ae((32, 32, 3), 20, backbone=backbone)
    with torch.no_grad():
        logits = model.encoder(model.preprocess(torch.from_numpy(images)))
        model.encoder[-1].bias -= logits.median(0).values
    assert len(np.unique(model.encode(images), axis=0)) > 100
    return model


@pytest.mark.parametrize("length", LENGTHS)
def test_unpacking_undoes_packing(length: int) -> None:
    bits = random_bits(50, length)
    packed = lrl.pack_bits(bits.astype(np.float32))
    assert packed.dtype == np.uint8
    assert packed.shape == (50, -(-length // 8))
    np.testing.assert_array_equal(lrl.unpack_bits(packed, length), bits)
    np.testing.assert_array_equal(np.unpackbits(packed, axis=1)[:, :length], bits)


def test_only_binary_codes_can_be_packed() -> None:
    with pytest.raises(ValueError, match="only binary codes of 0 and 1 can be packed"):
        lrl.pack_bits(np.array([[0, 0.5]]))


@pytest.mark.parametrize("length", LENGTHS)
def test_hamming_distances_equal_brute_force(length: int) -> None:
    index, queries = random_bits(300, length), random_bits(5, length, 1)
    packed = lrl.pack_bits(index)
    distances = lrl.hamming(lrl.pack_bits(queries), packed)
    assert distances.dtype == np.int32
    np.testing.assert_array_equal(distances, (queries[:, None] != index).sum(2))
    np.testing.assert_array_equal(lrl.hamming(lrl.pack_bits(queries[2]), packed), distances[2])
    assert lrl.hamming(lrl.pack_bits(queries[:0]), packed).shape == (0, 300)


def test_codes_of_other_types_and_lengths_are_refused() -> None:
    packed = lrl.pack_bits(random_bits(9, 32))
    with pytest.raises(
        ValueError, match=r"expected packed codes, uint8 \(N, 3\), got uint8 \(9, 4\)"
    ):
        lrl.hamming(packed[:, :3], packed)
    with pytest.raises(ValueError, match=r"got int64 \(1, 4\); pack_bits makes them"):
        lrl.hamming(packed[0].astype(np.int64), packed)
    with pytest.raises(ValueError, match=r"uint8 \(N, 4\), got uint8 \(4,\)"):
        lrl.hamming(packed, packed[0])


@pytest.mark.parametrize("k", [1, 10, 200])
def test_hamming_search_equals_brute_force_with_ties_in_order(
    k: int, hashing: lrl.Autoencoder, images: Any
) -> None:
    index = lrl.HammingIndex(hashing, images)
    bits = hashing.encode(images)
    np.testing.assert_array_equal(lrl.unpack_bits(index.codes, 20), bits)
    expected = (bits[:12, None] != bits).sum(2)
    indices, distances = index.search(images[:12], k)
    np.testing.assert_array_equal(indices, np.argsort(expected, axis=1, kind="stable")[:, :k])
    np.testing.assert_array_equal(distances, np.sort(expected, axis=1)[:, :k])
    reference = NearestNeighbors(n_neighbors=k, metric="hamming", algorithm="brute").fit(bits > 0)
    np.testing.assert_allclose(distances, 20 * reference.kneighbors(bits[:12] > 0)[0], atol=1e-6)


def test_euclidean_search_equals_scikit_learn(fitted: lrl.Autoencoder, images: Any) -> None:
    index = lrl.LatentIndex(fitted, images)
    latents = fitted.encode(images)
    np.testing.assert_allclose(index.latents, latents, atol=1e-5)
    indices, distances = index.search(images[:12], 10)
    assert distances.dtype == np.float32
    reference = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(latents.astype(np.float64))
    expected, neighbours = reference.kneighbors(latents[:12])
    np.testing.assert_allclose(distances, expected, atol=1e-4)
    np.testing.assert_array_equal(indices, neighbours)


def test_equal_latents_are_found_in_the_order_of_the_index(
    fitted: lrl.Autoencoder, images: Any
) -> None:
    index = lrl.LatentIndex(fitted, images)
    index.latents = index.latents[[3, 1, 3, 2, 3]]
    indices, distances = index.search(images[3], 4)
    assert indices[:3].tolist() == [0, 2, 4]
    assert distances[:3] == pytest.approx(0, abs=1e-4)


@pytest.fixture(params=["Euclidean", "Hamming"])
def index(request: Any, hashing: lrl.Autoencoder, fitted: lrl.Autoencoder, images: Any) -> Any:
    binary = request.param == "Hamming"
    index = lrl.HammingIndex(hashing, images) if binary else lrl.LatentIndex(fitted, images)
    assert index.metric == request.param
    return index


def test_one_query_has_no_batch_axis(index: Any, images: Any) -> None:
    indices, distances = index.search(images[5], 3)
    assert indices.shape == distances.shape == (3,)
    np.testing.assert_array_equal(indices, index.search(images[5:6], 3)[0][0])
    assert distances[0] == pytest.approx(0, abs=1e-4)
    assert index.search(images[:0], 3)[0].shape == (0, 3)


def test_excluded_positions_are_left_out(index: Any, images: Any) -> None:
    everything, distances = index.search(images[:12], 200)
    chosen = np.array([0, 1, 2, 150, 199, 5, 6, 0, 8, 9, 10, 11])
    kept = everything != chosen[:, None]
    indices, others = index.search(images[:12], 199, exclude=chosen)
    np.testing.assert_array_equal(indices, everything[kept].reshape(12, 199))
    np.testing.assert_array_equal(others, distances[kept].reshape(12, 199))
    np.testing.assert_array_equal(index.search(images[7], 199, exclude=0)[0], indices[7])


def test_leave_one_out_search_finds_no_query_itself(index: Any, images: Any) -> None:
    own = np.arange(200)
    assert not (index.search(images, 3, exclude=own)[0] == own[:, None]).any()


def test_an_index_of_one_observation(fitted: lrl.Autoencoder, images: Any) -> None:
    assert len(lrl.LatentIndex(fitted, images[0])) == 1


def test_indexes_read_files_in_batches(index: Any, images: Any, tmp_path: Any) -> None:
    np.save(tmp_path / "many.npy", np.concatenate([images] * 3))
    many = type(index)(index.model, tmp_path / "many.npy")
    assert len(many) == 600 > CHUNK
    # Each distance comes three times, at positions that are 200 apart.
    np.testing.assert_allclose(
        many.search(images[:4], 60)[1], index.search(images[:4], 20)[1].repeat(3, 1), atol=1e-3
    )


@pytest.mark.parametrize(("exclude", "available"), [(None, 200), (0, 199)])
def test_k_is_checked(exclude: Any, available: int, index: Any, images: Any) -> None:
    for k in (0, available + 1):
        with pytest.raises(
            ValueError, match=f"k is a number of neighbours, from 1 to {available}; got {k}"
        ):
            index.search(images[0], k, exclude=exclude)


@pytest.mark.parametrize("exclude", [[0], [0, 200], [-1, 0], [[0, 1]]])
def test_excluded_positions_are_checked(exclude: Any, index: Any, images: Any) -> None:
    with pytest.raises(
        ValueError,
        match=r"exclude needs one position from 0 to 199 for each of 2 queries, got \[",
    ):
        index.search(images[:2], exclude=exclude)


def test_codes_are_saved_by_numpy(hashing: lrl.Autoencoder, images: Any, tmp_path: Any) -> None:
    index = lrl.HammingIndex(hashing, lrl.as_frames(images))
    np.save(tmp_path / "codes.npy", index.codes)
    again = lrl.HammingIndex.of_codes(hashing, np.load(tmp_path / "codes.npy"))
    assert len(again) == 200
    for got, expected in zip(again.search(images[:4]), index.search(images[:4]), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_binary_codes_are_checked(
    hashing: lrl.Autoencoder, fitted: lrl.Autoencoder, images: Any
) -> None:
    message = "latents of the 'beta_vae' model are not binary codes; use LatentIndex, or train"
    with pytest.raises(TypeError, match=message):
        lrl.HammingIndex(fitted, images)
    with pytest.raises(TypeError, match=message):
        lrl.HammingIndex.of_codes(fitted, np.zeros((3, 1), np.uint8))
    with pytest.raises(
        ValueError, match=r"expected packed codes, uint8 \(N, 3\), got uint8 \(9, 4\)"
    ):
        lrl.HammingIndex.of_codes(hashing, np.zeros((9, 4), np.uint8))


def test_neighbours_share_more_labels_than_those_of_binarised_pca() -> None:
    digits = load_digits()
    images, labels = (digits.images * 255 / 16).astype(np.uint8), digits.target
    torch.manual_seed(0)
    model = lrl.binary_ae(images.shape[1:], 32, backbone={"name": "mlp", "hidden": (128,)})
    lrl.fit(model, images[:1500], lrl.FitConfig(steps=600, device="cpu"), progress=False)
    found = lrl.HammingIndex(model, images[:1500]).search(images[1500:], 10)[0]
    flat = images.reshape(len(images), -1) / 255
    signs = PCA(32, random_state=0).fit(flat[:1500]).transform(flat) > 0
    nearest = np.argsort((signs[1500:, None] != signs[:1500]).sum(2), 1, kind="stable")[:, :10]
    ours, theirs = ((labels[rows] == labels[1500:, None]).mean() for rows in (found, nearest))
    assert ours > theirs
