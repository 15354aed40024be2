#include "collect/work.h"

#include <gtest/gtest.h>

namespace foregate::collect {
namespace {

ShardWork work_of(const std::vector<int>& lengths) {
  ShardWork work;
  for (const int length : lengths) {
    TokenizedText text;
    text.ids.assign(static_cast<size_t>(length), 1);
    text.with_features = length % 2 == 0;
    work.texts.push_back(text);
  }
  return work;
}

struct CutCase {
  std::vector<int> lengths;
  int64_t budget;
  std::vector<size_t> expected;  ///< texts in each batch
};

class CutBatches : public ::testing::TestWithParam<CutCase> {};

TEST_P(CutBatches, CoversEveryTextOnce) {
  const ShardWork work = work_of(GetParam().lengths);
  std::vector<size_t> sizes;
  size_t next = 0;
  for (const BatchRange& range : cut_batches(work, GetParam().budget)) {
    EXPECT_EQ(range.first_text, next);
    next += range.num_texts;
    sizes.push_back(range.num_texts);
  }
  EXPECT_EQ(next, work.texts.size());
  EXPECT_EQ(sizes, GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, CutBatches,
    ::testing::Values(CutCase{{}, 10, {}}, CutCase{{5}, 10, {1}}, CutCase{{50}, 10, {1}},
                      CutCase{{5, 5}, 10, {2}}, CutCase{{6, 5}, 10, {1, 1}},
                      CutCase{{3, 3, 3, 3}, 10, {2, 2}},  // two equal batches, not 3 + 1
                      CutCase{
                          {50, 1, 1}, 10, {1, 2}},  // a text longer than the budget stands alone
                      CutCase{{0, 0, 4}, 4, {3}}));

TEST(ShardWork, CountsTokensAndFeatures) {
  const ShardWork work = work_of({1, 2, 4});
  EXPECT_EQ(work.num_tokens(), 7);
  EXPECT_EQ(work.num_feature_texts(), 2);
  EXPECT_EQ(work.num_feature_tokens(), 6);
}

}  // namespace
}  // namespace foregate::collect
