#include "text/regex.h"

#include "text/regex_syntax.h"
#include "text/text_fixture.h"

namespace foregate {
namespace {

std::vector<std::string> matches(const std::string& pattern, std::string_view text) {
  const Regex regex(pattern, "test");
  Regex::Searcher searcher(regex);
  std::vector<std::string> found;
  size_t from = 0;
  while (const auto match = searcher.find(text, from)) {
    found.emplace_back(text.substr(match->begin, match->end - match->begin));
    from = match->end;
  }
  return found;
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
       {"\\w+", "\\bx", "a$", "^a", "[[:alpha:]]", "[a&&b]", "\\h", "(?m:.)", "\\p{Han}", "\\p{^L}",
        "\\pL", "a{1,2}+", "(*UCP)a", "[\\S]", "\\1", "[]a]", "\\"}) {
    const auto message = message_of([&] { to_pcre2_pattern(pattern, "f.json: Regex"); });
    EXPECT_THAT(message, HasSubstr("f.json: Regex")) << pattern;
    EXPECT_THAT(message, HasSubstr("not supported")) << pattern;
  }
}

TEST(Regex, RefusesBrokenAndEmptyPatterns) {
  EXPECT_THAT(message_of([] { Regex("(a", "f.json"); }), HasSubstr("broken"));
  EXPECT_THAT(message_of([] { Regex("a*", "f.json"); }), HasSubstr("empty"));
}

}  // namespace
}  // namespace foregate
