#include "trace/token_names.h"

#include <gtest/gtest.h>

#include "support/temporary_folder.h"
#include "support/trace_fixture.h"

namespace foregate::trace {
namespace {

TEST(TokenNamesTest, NamesComeBackByTheirIds) {
  const testing::TemporaryFolder folder;
  TokenNames names;
  EXPECT_EQ(names.id("the"), 0);
  EXPECT_EQ(names.id(" \n"), 1);
  EXPECT_EQ(names.id("the"), 0);
  names.write(folder.path());
  const TokenNames read = TokenNames::read(folder.path());
  EXPECT_EQ(read.name(0), "the");
  EXPECT_EQ(read.name(1), " \n");
  EXPECT_EQ(read.name(2), "");
  EXPECT_EQ(read.name(-1), "");
}

}  // namespace
}  // namespace foregate::trace
