#include "base/error.h"

#include <gtest/gtest.h>

namespace foregate {
namespace {

TEST(Error, IsOneLineWhateverItQuotes) {
  EXPECT_STREQ(DataError("a.npy: dtype '\n\t\x1b[2J\x7f'").what(),
               "a.npy: dtype '\\n\\t\\x1b[2J\\x7f'");
}

TEST(Error, KeepsTextOfEveryLanguage) {
  const std::string message = "\xe4\xb8\x80 na\xc3\xafve: expected 'x', found \"y\\n\"";
  EXPECT_EQ(UsageError(message).what(), message);
}

}  // namespace
}  // namespace foregate
