#include "base/bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace foregate {
namespace {

TEST(ParseBytes, UnitsOf1000AndOf1024) {
  EXPECT_EQ(parse_bytes("8GB", "x"), 8'000'000'000);
  EXPECT_EQ(parse_bytes("8 gb", "x"), 8'000'000'000);
  EXPECT_EQ(parse_bytes("1.5GiB", "x"), 3LL << 29);
  EXPECT_EQ(parse_bytes("500MB", "x"), 500'000'000);
  EXPECT_EQ(parse_bytes("64kib", "x"), 65536);
  EXPECT_EQ(parse_bytes("0.001 TB", "x"), 1'000'000'000);
  EXPECT_EQ(parse_bytes("12345", "x"), 12345);
  EXPECT_EQ(parse_bytes("1B", "x"), 1);
}

TEST(ParseBytes, AnythingElseIsAUsageErrorThatNamesTheOption) {
  for (const char* text : {"", "GB", "-1GB", "0", "0.1B", "8GBs", "8 8GB", "nan", "inf", "1e30GB",
                           "0x10", "99999999999TB"}) {
    try {
      parse_bytes(text, "--max-memory");
      ADD_FAILURE() << text;
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("--max-memory"));
    }
  }
}

}  // namespace
}  // namespace foregate
