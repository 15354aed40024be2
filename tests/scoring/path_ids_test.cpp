// The numbers of paths through the layers, worked out by hand.
#include "scoring/counting/path_ids.h"

#include <gtest/gtest.h>

#include <array>

#include "map_weights.h"

namespace foregate::scoring {
namespace {

using testing::small_geometry;

TEST(PathIds, NumbersPathsOfOneToThreeLayers) {
  // W = 4, layer-2: known are l-2, l-3, l-4. S = 4 * 5^2 + 5^4 + 5^6.
  const PathIds paths(small_geometry(9, 5, 2), 2, 4);
  constexpr int64_t kSpan = 100 + 625 + 15625;
  ASSERT_EQ(paths.num_singles(), 3);
  ASSERT_EQ(paths.num_paths(), 5);
  EXPECT_EQ(paths.pair(std::array<int64_t, 2>{3, 1}.data()), 16);
  std::array<int64_t, 5> ids{};
  paths.number(6, std::array<int64_t, 3>{7, 24, 11}, ids);
  EXPECT_EQ(ids, (std::array<int64_t, 5>{6 * kSpan + 25 + 7, 6 * kSpan + 50 + 24,
                                         6 * kSpan + 75 + 11, 6 * kSpan + 100 + 7 * 25 + 24,
                                         6 * kSpan + 725 + (7 * 25 + 24) * 25 + 11}));
  // At layer 3 layers 1 and 0 are known.
  paths.number(3, std::array<int64_t, 2>{7, 24}, ids);
  EXPECT_EQ(ids, (std::array<int64_t, 5>{3 * kSpan + 25 + 7, 3 * kSpan + 50 + 24, -1,
                                         3 * kSpan + 100 + 7 * 25 + 24, -1}));
}

TEST(PathIds, OfOneKindLieTogether) {
  const PathIds paths(small_geometry(9, 5, 2), 2, 4);
  std::array<int64_t, 5> lowest{};
  std::array<int64_t, 5> highest{};
  for (const int64_t layer : {4, 5, 8}) {
    paths.number(layer, std::array<int64_t, 3>{0, 0, 0}, lowest);
    paths.number(layer, std::array<int64_t, 3>{24, 24, 24}, highest);
    for (size_t i = 0; i < lowest.size(); ++i) {
      EXPECT_EQ(paths.first_id(layer, static_cast<int64_t>(i)), lowest[i]);
      EXPECT_EQ(paths.first_id(layer, static_cast<int64_t>(i) + 1), highest[i] + 1);
    }
    EXPECT_LE(paths.first_id(layer, 5), paths.first_id(layer + 1, 0));
  }
}

TEST(PathIds, OfTopOneModelsTheFirstChoiceCountsAsBoth) {
  EXPECT_EQ(PathIds(small_geometry(2, 5, 1), 1, 8).pair(std::array<int64_t, 1>{3}.data()), 18);
}

TEST(PathIds, LeavesOutPathsThatWouldNotFitANumber) {
  EXPECT_EQ(PathIds(small_geometry(94, 512, 8), 1, 8).num_paths(), 10);
  EXPECT_EQ(PathIds(small_geometry(94, 2048, 8), 1, 8).num_paths(), 9);
  EXPECT_EQ(PathIds(small_geometry(94, 65535, 8), 1, 8).num_paths(), 8);
  EXPECT_EQ(PathIds(small_geometry(94, 8, 2), 9, 8).num_paths(), 0);  // looks back no further
}

}  // namespace
}  // namespace foregate::scoring
