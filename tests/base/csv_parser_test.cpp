#include "base/encoding/csv_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "base/row_limits.h"

namespace foregate {
namespace {

using Cells = std::vector<std::string>;

/// A broken row reads as the cells "!" and its problem.
std::vector<Cells> parse(const std::string& text, char separator = ',') {
  CsvParser parser(text, separator);
  std::vector<Cells> rows;
  for (CsvRow row; parser.next(row);) {
    rows.push_back(row.problem.empty() ? row.cells : Cells{"!", row.problem});
  }
  return rows;
}

struct Case {
  const char* name;
  std::string text;
  std::vector<Cells> rows;
};

class CsvParserTest : public ::testing::TestWithParam<Case> {};

TEST_P(CsvParserTest, Parses) {
  EXPECT_EQ(parse(GetParam().text), GetParam().rows);
}

const Cells kBlank{"!", "blank row"};
const Cells kUnclosed{"!", "quote not closed"};

INSTANTIATE_TEST_SUITE_P(
    Rfc4180, CsvParserTest,
    ::testing::Values(
        Case{"Empty", "", {}}, Case{"OneCell", "a", {{"a"}}},
        Case{"NoFinalLineEnd", "a,b\nc,d", {{"a", "b"}, {"c", "d"}}},
        Case{"FinalLineEnd", "a,b\nc,d\n", {{"a", "b"}, {"c", "d"}}},
        Case{"CarriageReturnLineFeed", "a,b\r\nc,d\r\n", {{"a", "b"}, {"c", "d"}}},
        Case{"CarriageReturn", "a,b\rc,d\r", {{"a", "b"}, {"c", "d"}}},
        Case{"EmptyCells", ",\n,,\n", {{"", ""}, {"", "", ""}}},
        Case{"TrailingSeparator", "a,", {{"a", ""}}},
        Case{"BlankRows", "\na\n\n", {kBlank, {"a"}, kBlank}},
        Case{"QuotedSeparator", "\"a,b\",c\n", {{"a,b", "c"}}},
        Case{"QuotedLineEnds", "\"a\nb\r\nc\",d\ne,f", {{"a\nb\r\nc", "d"}, {"e", "f"}}},
        Case{"DoubledQuotes", "\"say \"\"hi\"\"\",\"\"\"\"\n", {{"say \"hi\"", "\""}}},
        Case{"EmptyQuoted", "\"\",\"\"\n", {{"", ""}}},
        Case{"QuoteInsidePlainCell", "a \"b\" c,d\n", {{"a \"b\" c", "d"}}},
        Case{"SpaceBeforeQuote", "a, \"b\n", {{"a", " \"b"}}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Broken, CsvParserTest,
    ::testing::Values(
        Case{"TextBehindClosingQuote", "\"a\"b,c\n", {{"ab", "c"}}},
        Case{"UnclosedAtTheEnd", "a,b\n\"c,d", {{"a", "b"}, kUnclosed}},
        Case{"UnclosedKeepsWhatIsBehind", "\"a,b\nc,d\ne,f\n", {kUnclosed, {"c", "d"}, {"e", "f"}}},
        Case{"UnclosedBeforeQuotedRows",
             "\"a,1\n\"b\",2\n\"c\nd\",3\n",
             {kUnclosed, {"b", "2"}, {"c\nd", "3"}}},
        Case{"QuoteAloneAtTheEnd", "a\n\"", {{"a"}, kUnclosed}}),
    [](const auto& test) { return test.param.name; });

TEST(CsvParser, TabsSeparate) {
  EXPECT_EQ(parse("a,b\t\"c\td\"\n", '\t'), (std::vector<Cells>{{"a,b", "c\td"}}));
}

TEST(CsvParser, RowsTooLongAreSkippedNotKept) {
  const std::string longer(kMaxRowBytes + 10, 'x');
  const std::vector<Cells> expected{{"!", kRowTooLong}, {"a", "b"}};
  EXPECT_EQ(parse(longer + ",y\na,b\n"), expected);
  EXPECT_EQ(parse("\"" + longer + "\",y\na,b\n"), expected);
  EXPECT_EQ(parse(std::string(kMaxRowBytes + 10, ',') + "\na,b\n"), expected);
}

// Each of these lines leaves a quote open up to the end of the file.
TEST(CsvParser, StrayQuotesTakeLinearTime) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "a\",\"b\n";
  const auto start = std::chrono::steady_clock::now();
  const auto rows = parse(text);
  EXPECT_EQ(rows.size(), 100'000U);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

struct DialectCase {
  const char* name;
  CsvDialect dialect;
  std::string text;
  std::vector<Cells> rows;
};

class CsvDialectTest : public ::testing::TestWithParam<DialectCase> {};

TEST_P(CsvDialectTest, Parses) {
  CsvParser parser(GetParam().text, GetParam().dialect);
  std::vector<Cells> rows;
  for (CsvRow row; parser.next(row);) rows.push_back(row.cells);
  EXPECT_EQ(rows, GetParam().rows);
}

INSTANTIATE_TEST_SUITE_P(
    Dialects, CsvDialectTest,
    ::testing::Values(DialectCase{"Semicolon", {';'}, "a;\"b;c\";d,e\n", {{"a", "b;c", "d,e"}}},
                      DialectCase{"NoSpacesAroundQuotes", {','}, "a, \"b\"\n", {{"a", " \"b\""}}},
                      DialectCase{"SpacesAroundQuotes",
                                  {',', true},
                                  "a, \"b, c\" ,  d\n \"e\"  \n\"f\" g",
                                  {{"a", "b, c", "  d"}, {"e"}, {"f g"}}},
                      DialectCase{"Backslash",
                                  {',', false, true},
                                  R"("a \"b\", c","d\\","\n")",
                                  {{R"(a "b", c)", R"(d\)", R"(\n)"}}},
                      DialectCase{"BackslashUnquoted",
                                  {',', false, true},
                                  R"(a \"b\", c\, d\\,\n,"\,",e\)",
                                  {{R"(a "b")", R"( c, d\)", R"(\n)", R"(\,)", R"(e\)"}}},
                      DialectCase{"BackslashAndDoubled",
                                  {',', false, true},
                                  R"("a ""b"" \"c\"",d)",
                                  {{R"(a "b" "c")", "d"}}}),
    [](const auto& test) { return test.param.name; });

TEST(CsvParser, TellsOfStrayQuotes) {
  const auto strays = [](const std::string& text) {
    CsvParser parser(text, ',');
    std::vector<bool> found;
    for (CsvRow row; parser.next(row);) found.push_back(row.stray_quote);
    return found;
  };
  EXPECT_EQ(strays("a,\"b\"\na,b\"c\n\"a\"b,c\n\"a\"\"\",b\n"),
            (std::vector<bool>{false, true, true, false}));
}

}  // namespace
}  // namespace foregate
