#include "nn/rotary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace foregate {
namespace {

TEST(PlainRotary, FallsFromOneToOneByTheta) {
  const nn::Rotary rotary = nn::plain_rotary(8, 1e4);
  ASSERT_EQ(rotary.width(), 8);
  EXPECT_EQ(rotary.factor, 1);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_FLOAT_EQ(rotary.inverse_frequencies[i],
                    static_cast<float>(std::pow(1e4, -2.0 * static_cast<double>(i) / 8)));
  }
}

// transformers gives the same bits: at position 100,000 the last bit is a hundredth of a radian.
TEST(YarnRotary, EqualsTransformers) {
  const Json goldens = read_json(FOREGATE_SOURCE_DIR "/tests/nn/goldens/rotary.json");
  ASSERT_GE(goldens.size(), 4U);
  for (const auto& [name, golden] : goldens.items()) {
    const JsonReader reader(golden, name);
    const JsonReader rope = reader.object("rope");
    const nn::Rotary rotary = nn::yarn_rotary(
        reader.integer("width", 2, 1024), rope.number("rope_theta", 1, 1e9),
        {.scale = rope.number("factor", 1, 1e9),
         .original_context = rope.number("original_max_position_embeddings", 1, 1e9),
         .beta_fast = rope.number("beta_fast", 0, 1e9),
         .beta_slow = rope.number("beta_slow", 0, 1e9),
         .truncate = rope.boolean("truncate", true)});
    const Json& expected = reader.array("inverse_frequencies");
    ASSERT_EQ(rotary.inverse_frequencies.size(), expected.size()) << name;
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(rotary.inverse_frequencies[i], expected[i].get<float>()) << name << ", pair " << i;
    }
  }
}

// The softmax factors of DeepSeek-V2-Lite, V3 and Kimi-K2 are the squares.
TEST(YarnRotary, Magnitude) {
  EXPECT_EQ(nn::yarn_magnitude(1), 1);
  EXPECT_EQ(nn::yarn_magnitude(0.5, 3), 1);
  EXPECT_NEAR(std::pow(nn::yarn_magnitude(40, 0.707), 2), 1.589626, 1e-6);
  EXPECT_NEAR(std::pow(nn::yarn_magnitude(40), 2), 1.873854, 1e-6);
  EXPECT_NEAR(std::pow(nn::yarn_magnitude(32), 2), 1.813260, 1e-6);
}

}  // namespace
}  // namespace foregate
