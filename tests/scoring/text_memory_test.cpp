// Counts over the tokens of a text before its current one, worked out by hand.
#include "scoring/counting/text_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "map_weights.h"
#include "scoring/constants.h"
#include "scoring/error.h"

namespace foregate::scoring {
namespace {

using ::testing::ElementsAre;

/// A text of one layer, told token by token.
class Text {
 public:
  Text(int num_experts, int top_k)
      : geometry_(testing::small_geometry(1, num_experts, top_k)),
        history(geometry_, {.token = true, .routing = true, .tokens_back = Needs::kAllTokens}),
        memory(geometry_) {}

  void begin(int32_t id) {
    history.begin_token(id);
    memory.begin_token(history);
  }
  void choose(const std::vector<int32_t>& experts) { history.set_routing(0, experts); }
  /// How many earlier tokens there are of the current one's id, and what they chose.
  std::pair<int64_t, std::vector<float>> same_id() const {
    std::vector<float> counts(static_cast<size_t>(geometry_.num_experts), 9);
    const int64_t tokens = memory.count_same_id(history, 0, counts.data());
    return {tokens, counts};
  }
  std::pair<int64_t, std::vector<float>> same_pair() const {
    std::vector<float> counts(static_cast<size_t>(geometry_.num_experts), 9);
    const int64_t tokens = memory.count_same_pair(history, 0, counts.data());
    return {tokens, counts};
  }

 private:
  trace::Geometry geometry_;

 public:
  History history;
  TextMemory memory;
};

/// The tokens whose choice was counted, if token t chose expert t.
std::vector<int> tokens_of(const std::pair<int64_t, std::vector<float>>& counted) {
  std::vector<int> tokens;
  for (size_t e = 0; e < counted.second.size(); ++e) {
    if (counted.second[e] == 1) tokens.push_back(static_cast<int>(e));
  }
  EXPECT_EQ(counted.first, std::ssize(tokens));
  return tokens;
}

TEST(TextMemory, FindsTheAlike) {
  Text text(6, 1);
  const std::vector<int32_t> ids = {5, 6, 5, 6, 6, 5};
  const std::vector<std::vector<int>> same_id = {{}, {}, {0}, {1}, {1, 3}, {0, 2}};
  const std::vector<std::vector<int>> same_pair = {{}, {}, {}, {1}, {}, {2}};
  for (size_t t = 0; t < ids.size(); ++t) {
    text.begin(ids[t]);
    EXPECT_EQ(tokens_of(text.same_id()), same_id[t]) << t;
    EXPECT_EQ(tokens_of(text.same_pair()), same_pair[t]) << t;
    text.choose({static_cast<int32_t>(t)});
  }
}

TEST(TextMemory, CountsWhatTheAlikeChose) {
  Text text(3, 2);
  text.begin(7);
  EXPECT_EQ(text.same_id().first, 0);
  text.choose({0, 2});
  text.begin(7);
  EXPECT_EQ(text.same_id().first, 1);
  EXPECT_THAT(text.same_id().second, ElementsAre(1, 0, 1));
  text.choose({2, 1});
  text.begin(8);
  EXPECT_EQ(text.same_id().first, 0);
  text.choose({0, 1});
  text.begin(7);
  EXPECT_EQ(text.same_id().first, 2);
  EXPECT_THAT(text.same_id().second, ElementsAre(1, 1, 2));
}

TEST(TextMemory, ForgetsWhatLiesFarBack) {
  Text text(2, 1);
  text.begin(1);
  EXPECT_EQ(text.memory.all_tokens(), 0);
  text.choose({0});
  text.begin(2);
  text.choose({1});
  text.begin(3);
  EXPECT_NEAR(text.memory.all_tokens(), 1 + kTextDecay, 1e-6);
  EXPECT_NEAR(text.memory.all_experts(0)[0], kTextDecay, 1e-6);
  EXPECT_NEAR(text.memory.all_experts(0)[1], 1, 1e-6);
}

TEST(TextMemory, NamesTheFirstTokenThatWasNotTold) {
  Text text(2, 1);
  text.begin(1);
  EXPECT_NO_THROW(text.memory.require_complete(0));
  text.begin(2);
  EXPECT_THROW(text.memory.require_complete(0), NotObservedError);
  text.memory.reset();
  EXPECT_NO_THROW(text.memory.require_complete(0));
}

}  // namespace
}  // namespace foregate::scoring
