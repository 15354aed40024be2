#include "text/unicode/utf8.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace foregate::text {
namespace {

/// `count` times U+FFFD.
std::string replaced(int count, const char* rest = "") {
  std::string text;
  for (int i = 0; i < count; ++i) text.append("\xef\xbf\xbd");
  return text.append(rest);
}

// What bytes.decode("utf-8", errors="replace") gives in Python 3.
TEST(Utf8, ReplacesInvalidBytesAsPythonDoes) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", ""},
      {"plain ascii text", "plain ascii text"},
      {"na\xc3\xafve \xf0\x9f\x98\x80", "na\xc3\xafve \xf0\x9f\x98\x80"},
      {"\xff", replaced(1)},
      {"\xc0\x80", replaced(2)},                        // overlong
      {"\xe0\x80\x80", replaced(3)},                    // overlong
      {"\xed\xa0\x80", replaced(3)},                    // surrogate
      {"\xf4\x90\x80\x80", replaced(4)},                // above U+10FFFF
      {"\xf0\x9f\x98", replaced(1)},                    // cut off: one maximal part
      {"\xf0\x9f\x98\x41", replaced(1, "A")},           // broken off by a letter
      {"\xe2\x82", replaced(1)},                        //
      {"\xe2\x28\xa1", "\xef\xbf\xbd(\xef\xbf\xbd"},    //
      {"a\x80z", "a\xef\xbf\xbdz"},                     //
      {"12345678\xc3", "12345678\xef\xbf\xbd"},         // behind the fast path
      {std::string("\0x", 2), std::string("\0x", 2)}};  //
  for (const auto& [bytes, expected] : cases) {
    EXPECT_EQ(replace_invalid_utf8(bytes), expected) << ::testing::PrintToString(bytes);
    EXPECT_EQ(is_valid_utf8(bytes), bytes == expected) << ::testing::PrintToString(bytes);
  }
}

TEST(Utf8, CodePointsRoundTrip) {
  for (const char32_t code_point : {0x0, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff}) {
    std::string text;
    append_utf8(code_point, text);
    size_t position = 0;
    EXPECT_EQ(next_code_point(text, position), code_point);
    EXPECT_EQ(position, text.size());
    EXPECT_TRUE(is_valid_utf8(text));
  }
}

TEST(Utf8, TrimsUnicodeWhiteSpace) {
  EXPECT_EQ(trimmed(""), "");
  EXPECT_EQ(trimmed(" \t\n"), "");
  EXPECT_EQ(trimmed("\xc2\xa0 a b\xe3\x80\x80\r\n"), "a b");
  EXPECT_EQ(trimmed("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80");
  EXPECT_TRUE(is_blank("\xe2\x80\x83\n"));
  EXPECT_FALSE(is_blank("\xe2\x80\x8b"));  // U+200B is not white space in Unicode.
}

}  // namespace
}  // namespace foregate::text
