#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace foregate {
namespace {

TEST(Half, EveryFiniteHalfSurvivesARoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7c00u) == 0x7c00u && (bits & 0x3ffu) != 0) continue;  // NaN
    const auto half = static_cast<uint16_t>(bits);
    ASSERT_EQ(float_to_half(half_to_float(half)), half) << std::hex << bits;
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(float_to_half(1.0f), 0x3c00);
  EXPECT_EQ(float_to_half(1.0f + 0x1.0p-11f), 0x3c00);               // tie goes to even
  EXPECT_EQ(float_to_half(1.0f + 0x1.0p-10f + 0x1.0p-11f), 0x3c02);  // tie goes to even
  EXPECT_EQ(float_to_half(1.0f + 0x1.2p-11f), 0x3c01);
  EXPECT_EQ(float_to_half(65519.0f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(0x1.0p-24f), 0x0001);
  EXPECT_EQ(float_to_half(0x1.0p-25f), 0x0000);  // tie goes to even
  EXPECT_EQ(float_to_half(0x1.8p-25f), 0x0001);
  EXPECT_EQ(float_to_half(-2.5f), 0xc100);
}

TEST(Half, KeepsInfinityAndNan) {
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::infinity()), 0x7c00);
  EXPECT_TRUE(std::isnan(half_to_float(float_to_half(std::nanf("")))));
}

}  // namespace
}  // namespace foregate
