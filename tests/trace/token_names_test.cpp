#include "trace/token_names.h"

#include <gtest/gtest.h>

#include "support/temporary_folder.h"
#include "support/trace_fixture.h"

namespace foregate::trace {
namespace {

TEST(TokenNamesTest, NamesComeBackByTheirIds) {
  const testing::TemporaryFolder folder;
  TokenNames names(TokenIds::kByAppearance);
  EXPECT_EQ(names.id("the"), 0);
  EXPECT_EQ(names.id(" \n"), 1);
  EXPECT_EQ(names.id("the"), 0);
  names.write(folder.path());
  const TokenNames read = TokenNames::read(folder.path(), TokenIds::kByAppearance);
  EXPECT_EQ(read.name(0), "the");
  EXPECT_EQ(read.name(1), " \n");
  EXPECT_EQ(read.name(2), "");
  EXPECT_EQ(read.name(-1), "");
}

TEST(TokenNamesTest, AHashDependsOnTheStringAlone) {
  // int.from_bytes(hashlib.sha256(s.encode()).digest()[:4], "little") & 0x7fffffff
  EXPECT_EQ(hashed_token_id(""), 1120186595);
  EXPECT_EQ(hashed_token_id("x"), 1108767021);
  EXPECT_EQ(hashed_token_id(" the"), 2103641854);
  const testing::TemporaryFolder folder;
  TokenNames one;
  TokenNames two;
  one.id("x");
  two.id(" the");
  EXPECT_EQ(one.id(" the"), two.id(" the"));
  EXPECT_EQ(one.size(), 2);
  EXPECT_EQ(one.collisions(), 0);
  one.write(folder.path());
  EXPECT_EQ(TokenNames::read(folder.path(), TokenIds::kHashed).name(one.id("x")), "x");
}

TEST(TokenNamesTest, StringsOfOneHashCountAsOne) {
  const testing::TemporaryFolder folder;
  TokenNames names;
  const int32_t first = names.id("t26821");
  EXPECT_EQ(names.id("t49091"), first);
  EXPECT_EQ(names.collisions(), 1);
  EXPECT_EQ(names.name(names.id("t49091")), "t26821");
  names.write(folder.path());
  EXPECT_EQ(TokenNames::read(folder.path(), TokenIds::kHashed).collisions(), 1);
}

}  // namespace
}  // namespace foregate::trace
