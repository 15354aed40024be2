#include "report/charts/number_format.h"

#include <gtest/gtest.h>

#include <cmath>

namespace foregate::report {
namespace {

TEST(TextTest, Escape) {
  EXPECT_EQ(escape("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&#39;");
  EXPECT_EQ(escape("Größe 東京 🙂"), "Größe 東京 🙂");
  EXPECT_EQ(escape(""), "");
}

TEST(TextTest, BytesThatNoDocumentMayHoldAreReplaced) {
  EXPECT_EQ(clean_utf8(std::string("a\0b\nc\x1b", 6)), "a b c ");
  EXPECT_EQ(clean_utf8("a\xff"
                       "b"),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(clean_utf8("\xe6\x9d"), "\xef\xbf\xbd\xef\xbf\xbd");       // cut within a character
  EXPECT_EQ(clean_utf8("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd");       // overlong '/'
  EXPECT_EQ(clean_utf8("\xed\xa0\x80").substr(0, 3), "\xef\xbf\xbd");  // surrogate
}

TEST(TextTest, Shorten) {
  EXPECT_EQ(shorten("abcde", 5), "abcde");
  EXPECT_EQ(shorten("abcdef", 5), "abcd…");
  EXPECT_EQ(shorten("東京都港区芝", 4), "東京都…");
}

TEST(TextTest, Values) {
  EXPECT_EQ(format_value(0.1234, Unit::kPercent), "12.3%");
  EXPECT_EQ(format_value(0.00123, Unit::kPercent), "0.12%");
  EXPECT_EQ(format_value(1.254, Unit::kRatio), "1.25×");
  EXPECT_EQ(format_value(0.93444, Unit::kNumber), "0.934");
  EXPECT_EQ(format_value(std::nan(""), Unit::kPercent), "–");
}

}  // namespace
}  // namespace foregate::report
