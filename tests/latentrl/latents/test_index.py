"""Packed codes and their neighbours against brute force over bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

import latentrl as lrl

LENGTHS = [1, 7, 8, 13, 24, 32, 40, 64, 65, 100, 128, 200]


def random_bits(count: int, length: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 2, (count, length), np.uint8)


@pytest.fixture(scope="module")
def hashing(images: Any) -> lrl.Autoencoder:
    return lrl.binary_ae(
        (32, 32, 3), 20, backbone={"name": "conv", "channels": (8, 8), "hidden": 32}
    )


@pytest.mark.parametrize("length", LENGTHS)
def test_packing_comes_undone(length: int) -> None:
    bits = random_bits(50, length)
    packed = lrl.pack_bits(bits.astype(np.float32))
    assert packed.dtype == np.uint8
    assert packed.shape == (50, -(-length // 8))
    np.testing.assert_array_equal(lrl.unpack_bits(packed, length), bits)
    np.testing.assert_array_equal(np.unpackbits(packed, axis=1)[:, :length], bits)


def test_only_bits_can_be_packed() -> None:
    with pytest.raises(ValueError, match="only codes of 0 and 1 can be packed"):
        lrl.pack_bits(np.array([[0, 0.5]]))


@pytest.mark.parametrize("length", LENGTHS)
def test_distances_equal_brute_force(length: int) -> None:
    index, queries = random_bits(300, length), random_bits(5, length, 1)
    packed = lrl.pack_bits(index)
    distances = lrl.hamming(lrl.pack_bits(queries), packed)
    assert distances.dtype == np.int32
    np.testing.assert_array_equal(distances, (queries[:, None] != index).sum(2))
    np.testing.assert_array_equal(lrl.hamming(lrl.pack_bits(queries[2]), packed), distances[2])
    assert lrl.hamming(lrl.pack_bits(queries[:0]), packed).shape == (0, 300)


def test_codes_of_other_lengths_are_refused() -> None:
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
def test_search_finds_the_nearest_the_first_of_equals_first(
    k: int, hashing: lrl.Autoencoder, images: Any
) -> None:
    index = lrl.CodeIndex(hashing, images)
    bits = hashing.encode(images)
    np.testing.assert_array_equal(lrl.unpack_bits(index.codes, 20), bits)
    expected = (bits[:12, None] != bits).sum(2)
    indices, distances = index.search(images[:12], k)
    np.testing.assert_array_equal(indices, np.argsort(expected, axis=1, kind="stable")[:, :k])
    np.testing.assert_array_equal(distances, np.sort(expected, axis=1)[:, :k])
    reference = NearestNeighbors(n_neighbors=k, metric="hamming", algorithm="brute").fit(bits > 0)
    np.testing.assert_allclose(distances, 20 * reference.kneighbors(bits[:12] > 0)[0], atol=1e-6)


def test_one_query_has_one_answer(hashing: lrl.Autoencoder, images: Any) -> None:
    index = lrl.CodeIndex(hashing, images)
    indices, distances = index.search(images[5], 3)
    assert indices.shape == distances.shape == (3,)
    np.testing.assert_array_equal(indices, index.search(images[5:6], 3)[0][0])
    assert distances[0] == 0
    assert index.search(images[:0], 3)[0].shape == (0, 3)


def test_codes_are_kept_by_numpy(hashing: lrl.Autoencoder, images: Any, tmp_path: Any) -> None:
    index = lrl.CodeIndex(hashing, lrl.as_frames(images))
    np.save(tmp_path / "codes.npy", index.codes)
    again = lrl.CodeIndex.of_codes(hashing, np.load(tmp_path / "codes.npy"))
    assert len(again) == 200
    for got, expected in zip(again.search(images[:4]), index.search(images[:4]), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_wrong_searches_say_so(
    hashing: lrl.Autoencoder, fitted: lrl.Autoencoder, images: Any
) -> None:
    with pytest.raises(
        TypeError, match="codes of a 'beta_vae' model are not bits; train 'binary_ae' to search"
    ):
        lrl.CodeIndex(fitted, images)
    with pytest.raises(TypeError, match="codes of a 'beta_vae' model are not bits"):
        lrl.CodeIndex.of_codes(fitted, np.zeros((3, 1), np.uint8))
    with pytest.raises(
        ValueError, match=r"expected packed codes, uint8 \(N, 3\), got uint8 \(9, 4\)"
    ):
        lrl.CodeIndex.of_codes(hashing, np.zeros((9, 4), np.uint8))
    for k in (0, 201):
        with pytest.raises(ValueError, match=f"from 1 to the 200 there are; got {k}"):
            lrl.CodeIndex(hashing, images).search(images[0], k)


def test_neighbours_share_more_labels_than_those_by_the_signs_of_pca() -> None:
    digits = load_digits()
    images, labels = (digits.images * 255 / 16).astype(np.uint8), digits.target
    torch.manual_seed(0)
    model = lrl.binary_ae(images.shape[1:], 32, backbone={"name": "mlp", "hidden": (128,)})
    lrl.fit(model, images[:1500], lrl.FitConfig(steps=600, device="cpu"), progress=False)
    found = lrl.CodeIndex(model, images[:1500]).search(images[1500:], 10)[0]
    flat = images.reshape(len(images), -1) / 255
    signs = PCA(32, random_state=0).fit(flat[:1500]).transform(flat) > 0
    nearest = np.argsort((signs[1500:, None] != signs[:1500]).sum(2), 1, kind="stable")[:, :10]
    ours, theirs = ((labels[rows] == labels[1500:, None]).mean() for rows in (found, nearest))
    assert ours > theirs
