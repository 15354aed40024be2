#include "text/tokenizer/regex.h"

#include "support/test_files.h"
#include "text/text_fixture.h"
#include "text/tokenizer/regex_syntax.h"

namespace foregate::text {
namespace {

std::vector<std::string> matches(const Regex& regex, std::string_view text) {
  Regex::Searcher searcher(regex);
  std::vector<std::string> found;
  size_t from = 0;
  while (const auto match = searcher.find(text, from)) {
    found.emplace_back(text.substr(match->begin, match->end - match->begin));
    from = match->end;
  }
  return found;
}

std::vector<std::string> matches(const std::string& pattern, std::string_view text) {
  return matches(Regex(pattern, "test"), text);
}

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Regex, WhiteSpaceIsUnicodesNotPcres) {
  EXPECT_THAT(matches("\\s+", "a\xe1\xa0\x8e b\xc2\x85 c"), ElementsAre(" ", "\xc2\x85 "));
  EXPECT_THAT(matches("[^\\sa]+", "a\xe1\xa0\x8e b"), ElementsAre("\xe1\xa0\x8e", "b"));
  EXPECT_THAT(matches("\\S+", "x\xe3\x80\x80y"), ElementsAre("x", "y"));
}

TEST(Regex, LookaheadAndCase) {
  EXPECT_THAT(matches("\\s+(?!\\S)|\\s+", "a   b"), ElementsAre("  ", " "));
  EXPECT_THAT(matches("(?i:'s|'re)", "IT'S you'RE"), ElementsAre("'S", "'RE"));
}

TEST(Regex, LongTextsNeedNoStack) {
  const std::string text(1 << 20, 'a');
  EXPECT_THAT(matches("(?:\\p{L}|\\p{N})+", text), ElementsAre(text));
}

TEST(Regex, RefusesWhatTheEnginesReadDifferently) {
  for (const char* pattern :
       {"\\w+",        "\\bx",    "a$*",   "^a",     "\\p{C}",   "[\\P{L}]", "[\\D]",
        "[[:alpha:]]", "[a&&b]",  "\\h",   "(?m:.)", "\\p{Han}", "\\p{^L}",  "\\pL",
        "a{1,2}+",     "(*UCP)a", "[\\S]", "\\1",    "[]a]",     "\\"}) {
    const auto message = testing::error_of([&] { to_pcre2_pattern(pattern, "f.json: Regex"); });
    EXPECT_THAT(message, HasSubstr("f.json: Regex")) << pattern;
    EXPECT_THAT(message, HasSubstr("not supported")) << pattern;
  }
}

TEST(Regex, DollarIsTheEndOfAnyLine) {
  EXPECT_THAT(matches("\\s+$", "a \n b  "), ElementsAre(" ", "  "));
  EXPECT_THAT(matches("[a-z]$", "a\nbc\n"), ElementsAre("a", "c"));
}

TEST(Regex, PropertiesAreOfTheNewerUnicode) {
  const std::string garay = "\xf0\x90\xb5\x90";  // U+10D50, of Unicode 16
  EXPECT_THAT(matches("\\p{L}+", garay + "1"), ElementsAre(garay));
  EXPECT_THAT(matches("[^\\p{Lu}]", garay + "1"), ElementsAre("1"));
  EXPECT_THAT(matches("\\P{L}", garay + "1"), ElementsAre("1"));
  EXPECT_THAT(matches("\\d", "\xf0\x90\xb5\x80"), ElementsAre("\xf0\x90\xb5\x80"));
}

TEST(Regex, CharactersAndTexts) {
  EXPECT_THAT(matches(Regex::of_characters(number_ranges()), "a1\xc2\xbd-\xe2\x85\xab"),
              ElementsAre("1", "\xc2\xbd", "\xe2\x85\xab"));
  EXPECT_THAT(matches(Regex::of_text(".*\\E]", "test"), "a.*\\E].*\\E"), ElementsAre(".*\\E]"));
  EXPECT_THAT(testing::error_of([] { Regex::of_text("", "f.json"); }), HasSubstr("empty"));
}

TEST(Regex, RefusesBrokenAndEmptyPatterns) {
  EXPECT_THAT(testing::error_of([] { Regex("(a", "f.json"); }), HasSubstr("broken"));
  EXPECT_THAT(testing::error_of([] { Regex("a*", "f.json"); }), HasSubstr("empty"));
}

}  // namespace
}  // namespace foregate::text
