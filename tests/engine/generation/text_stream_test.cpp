#include "engine/generation/text_stream.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace foregate::engine {
namespace {

TEST(TextStream, ShowsWholeCharacters) {
  TextStream stream;
  EXPECT_EQ(stream.add("a\xc3"), "a");
  EXPECT_EQ(stream.add("\xa9"), "\xc3\xa9");
  EXPECT_EQ(stream.add("\xf0\x9f"), "");
  EXPECT_EQ(stream.add("\x98"), "");
  EXPECT_EQ(stream.add("\x80!"), "\xf0\x9f\x98\x80!");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, ReplacesWhatIsNotUtf8) {
  TextStream stream;
  EXPECT_EQ(stream.add("a\xffz"), "a\xef\xbf\xbdz");
  EXPECT_EQ(stream.add("\xe2\x82"), "");
  EXPECT_EQ(stream.finish(), "\xef\xbf\xbd");
  EXPECT_EQ(stream.text(), "a\xef\xbf\xbdz\xef\xbf\xbd");
}

TEST(TextStream, KeepsBackWhatMayBeginAStopString) {
  TextStream stream({"END", "\n\n"});
  EXPECT_EQ(stream.add("one E"), "one ");
  EXPECT_EQ(stream.add("N"), "");
  EXPECT_EQ(stream.add("d"), "ENd");
  EXPECT_EQ(stream.add(" two\n"), " two");
  EXPECT_EQ(stream.add("\nthree"), "");
  EXPECT_EQ(stream.stopped_by(), "\n\n");
  EXPECT_EQ(stream.add("four"), "");
  EXPECT_EQ(stream.text(), "one ENd two");
}

TEST(TextStream, TheFirstStopStringCounts) {
  TextStream stream({"cd", "bc"});
  EXPECT_EQ(stream.add("abcd"), "a");
  EXPECT_EQ(stream.stopped_by(), "bc");
}

TEST(TextStream, WhatWasKeptBackComesAtTheEnd) {
  TextStream stream({"aab"});
  EXPECT_EQ(stream.add("xa"), "x");
  EXPECT_EQ(stream.add("aa"), "a");
  EXPECT_EQ(stream.finish(), "aa");
  EXPECT_EQ(stream.stopped_by(), "");
}

// A stop string that begins in the middle of a character, which only bytes could.
TEST(TextStream, AStopStringOfCharacters) {
  TextStream stream({"\xc3\xa9t\xc3\xa9"});
  EXPECT_EQ(stream.add("l'\xc3"), "l'");
  EXPECT_EQ(stream.add("\xa9t\xc3"), "");
  EXPECT_EQ(stream.add("\xa9 fini"), "");
  EXPECT_EQ(stream.stopped_by(), "\xc3\xa9t\xc3\xa9");
  EXPECT_EQ(stream.text(), "l'");
}

// However the bytes are cut, the text is the same, and nothing is shown that is taken back.
TEST(TextStream, CutsDoNotMatter) {
  Random random(3);
  const std::string alphabet[] = {"a", "b", "\xc3\xa9", "\xf0\x9f\x98\x80", "\n", "\xff", "\xe2"};
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (uint64_t i = random.below(12); i > 0; --i) bytes += alphabet[random.below(7)];
    const std::vector<std::string> stops = {"ab",
                                            "b\xc3\xa9"
                                            "b",
                                            "\n\n", "aab"};
    TextStream whole(stops);
    std::string expected = whole.add(bytes);
    if (whole.stopped_by().empty()) expected += whole.finish();
    TextStream pieces(stops);
    std::string shown;
    for (size_t place = 0; place < bytes.size();) {
      const size_t count = 1 + random.below(3);
      shown += pieces.add(std::string_view(bytes).substr(place, count));
      place += count;
    }
    if (pieces.stopped_by().empty()) shown += pieces.finish();
    ASSERT_EQ(shown, expected) << "round " << round;
    ASSERT_EQ(pieces.text(), expected);
  }
}

}  // namespace
}  // namespace foregate::engine
