// CSV as spreadsheets, statistics packages and databases write it: separators, quotes, headers.
#include "text/text_fixture.h"

#include "support/test_files.h"

namespace foregate::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

struct Table {
  const char* name;
  std::string content;
  std::vector<std::string> texts;
  std::string column;
  std::string file = "a.csv";
};

class DialectTest : public TextTest, public ::testing::WithParamInterface<Table> {};

TEST_P(DialectTest, ReadsTheTexts) {
  const Table& table = GetParam();
  const auto all = read_all({"x", write(table.file, table.content), table.column});
  EXPECT_EQ(all.texts, table.texts);
}

const auto kName = [](const auto& test) { return std::string(test.param.name); };

// duckdb/duckdb#9343: a European Excel's export.
const std::string kSemicolon =
    "id;text\r\n0;A first plain sentence here.\r\n1;\"He said \"\"hello, there\"\" twice.\"\r\n"
    "2;\"Line one\nline two\n\nline four\"\r\n3;Ünï – 日本\r\n"
    "4;\"semicolon; and, comma\tand tab\"\r\n";
const std::vector<std::string> kSemicolonTexts{
    "A first plain sentence here.", "He said \"hello, there\" twice.",
    "Line one\nline two\n\nline four", "Ünï – 日本", "semicolon; and, comma\tand tab"};

INSTANTIATE_TEST_SUITE_P(
    Separators, DialectTest,
    ::testing::Values(
        Table{"Semicolon", kSemicolon, kSemicolonTexts, ""},
        Table{"SemicolonByName", kSemicolon, kSemicolonTexts, "text"},
        Table{"SemicolonByNumber", kSemicolon, kSemicolonTexts, "1"},
        Table{"SemicolonBehindAMark", "\xef\xbb\xbf" + kSemicolon, kSemicolonTexts, "text"},
        Table{"SemicolonInTsv", "id;text\n1;a, b\n2;c\n", {"a, b", "c"}, "", "a.tsv"},
        Table{"CommaInTsv", "id,text\n1,a\n2,\"b, c\"\n", {"a", "b, c"}, "", "a.tsv"},
        Table{"TabInCsv", "id\ttext\n1\ta, b; c\n2\td\n", {"a, b; c", "d"}, ""},
        Table{"PipeInCsv", "id|text\n1|a, b; c\n2|d\n", {"a, b; c", "d"}, ""},
        // Few rows have another comma: not the separator.
        Table{
            "PipeWithCommas", "id|text|n\n1|a, b|3\n2|c, d|4\n3|e|5\n", {"a, b", "c, d", "e"}, ""},
        Table{"UnquotedSeparatorInAText", "id;text\n1;a; b\n2;c\n3;d\n", {"c", "d"}, ""},
        Table{"NoHeader", "1;a, b\n2;c\n3;d, e, f\n", {"a, b", "c", "d, e, f"}, "1"},
        Table{
            "UnusualNames", "nr;inhalt\n1;eins, zwei\n2;drei\n", {"eins, zwei", "drei"}, "inhalt"},
        // JuliaData/CSV.jl#1185, SheetJS/sheetjs#2239: decimal commas.
        Table{"DecimalCommas", "id;score;text\n1;0,5;a\n2;0,7;b\n3;1,5;c\n", {"a", "b", "c"}, ""},
        Table{"DecimalCommasWithoutHeader",
              "1;0,5;one a\n2;0,7;two b\n3;1,5;three c\n",
              {"one a", "two b", "three c"},
              "2"},
        // mholt/PapaParse#600: commas in the header's names.
        Table{"CommasInNames",
              "SKU (leave empty, required);text (100 characters, required);Price\n"
              "1;Corbata;1,50\n2;Camisa;2,50\n",
              {"Corbata", "Camisa"},
              "1"},
        // ExcelDataReader/ExcelDataReader#463: tabs, with a comma in one name.
        Table{"TabsWithACommaInAName",
              "Name\tText\t\"Cost per 1,000\"\nT1\tfirst\t\"10,143\"\nT2\tsecond\t\"9\"\n",
              {"first", "second"},
              "text"},
        // jakob/TableTool#34: no other separator anywhere.
        Table{"TwoShortColumns",
              "Duration;Phase\n6:30;First developer\n1:00;Wash 1\n1:00;Wash 2\n",
              {"First developer", "Wash 1", "Wash 2"},
              "phase"},
        Table{"ExcelsFirstLine", "sep=;\r\nid;text\r\n1;a, b\r\n", {"a, b"}, ""},
        Table{"ExcelsFirstLineQuoted", "\"sep=|\"\nid|text\n1|a\n", {"a"}, ""},
        Table{"FirstLineForAnySeparator", "SEP=~\nid~text\n1~a, b; c\n", {"a, b; c"}, ""},
        Table{"FirstLineForOneColumn", "sep=,\na; b\n\"c, d; e\"\n", {"a; b", "c, d; e"}, ""}),
    kName);

INSTANTIATE_TEST_SUITE_P(
    CommasStay, DialectTest,
    ::testing::Values(
        Table{"ListsInCells", "id,text,tags\n1,a,x;y\n2,b,z;w\n", {"a", "b"}, ""},
        Table{"ListsInCellsWithoutHeader",
              "1,first text,x;y\n2,second text,z;w\n",
              {"first text", "second text"},
              "1"},
        Table{"OneColumn",
              "text\nfirst; second\nthird; fourth\n",
              {"first; second", "third; fourth"},
              ""},
        Table{"Prose",
              "One; stands here.\nAnother; follows.\n",
              {"One; stands here.", "Another; follows."},
              ""},
        Table{"UnquotedCommasInOneColumn",
              "text\r\nHello, world\r\n\"a, b\"\r\nBye,\r\n",
              {"Hello, world", "a, b", "Bye,"},
              ""},
        Table{"TabsInTexts", "id,text\n1,a\tb\n2,c\td\n", {"a\tb", "c\td"}, ""},
        Table{"PipesInOneColumn", "text\n| a | b |\n| c | d |\n", {"| a | b |", "| c | d |"}, ""}),
    kName);

INSTANTIATE_TEST_SUITE_P(
    Quotes, DialectTest,
    ::testing::Values(
        // Spark and MySQL.
        Table{"Backslashes",
              "id,text\n1,\"He said \\\"hello\\\", twice\"\n2,\"plain\"\n",
              {"He said \"hello\", twice", "plain"},
              ""},
        // A backslash at a cell's end is no escape where quotes are doubled.
        Table{"BackslashAtTheEnd", "id,text\n1,\"C:\\\"\n2,\"b, c\"\n", {"C:\\", "b, c"}, ""},
        // duckdb/duckdb#14304
        Table{"SpacesBeforeQuotes",
              "\"foo\", \"text\"\n\"332\", \"Surname, First\"\n\"123\", \"x\"\n",
              {"Surname, First", "x"},
              "text"},
        Table{"SpacesAndBackslashes",
              "\"foo\", \"text\"\n\"1\", \"a, \\\"b\\\"\"\n\"2\", \"c\"\n",
              {"a, \"b\"", "c"},
              "text"},
        Table{"SemicolonsAndSpaces", "id; \"text\"\n1; \"a; b\"\n2; \"c\"\n", {"a; b", "c"}, ""},
        // duckdb/duckdb#16251: the last value is a quote and a comma.
        // pandas' escapechar: what need not be quoted is not.
        Table{"UnquotedBackslashes",
              "id,text\n1,He said \\\"hello\\\"\n2,a\\, b\n",
              {"He said \"hello\"", "a, b"},
              ""},
        // duckdb/duckdb#14304: no escape of what quotes hold anyway.
        Table{"BackslashBeforeAQuotedComma",
              "\"foo\",\"text\"\n\"1\", \"Surname\\, First\"\n\"2\",\"foo (\\\"foo\\\")\"\n",
              {"Surname\\, First", "foo (\"foo\")"},
              ""},
        Table{"OnlyAQuoteAndAComma", "id,text\n1,a\n2,\"\"\",\"\n", {"a", "\","}, ""},
        // duckdb/duckdb#14883: a quote in the middle of a cell.
        Table{"QuoteInAnUnquotedCell", "id,text\n1,a 5\" disk\n2,b\n", {"a 5\" disk", "b"}, ""},
        // duckdb/duckdb#21000: the first quoted cell comes late.
        Table{"LateQuotes",
              "id,text\n" +
                  [] {
                    std::string rows;
                    for (int i = 0; i < 3000; ++i) rows += "1,\n";
                    return rows;
                  }() +
                  "2,\"Beth, Bens. Co.\"\n",
              {"Beth, Bens. Co."},
              "text"}),
    kName);

INSTANTIATE_TEST_SUITE_P(
    Headers, DialectTest,
    ::testing::Values(
        Table{"Quoted", "\"id\",\"text\"\n\"1\",\"a\"\n", {"a"}, "text"},
        // duckdb/duckdb#16760
        Table{"WithALineEnd", "\"id\",\"text\n(English)\",\"label\"\n1,a,2\n", {"a"}, "1"},
        Table{"WithASeparator",
              "\"id, number\",\"text, in full\",label\n1,a,2\n",
              {"a"},
              "text, in full"},
        Table{"WithQuotes", "id,\"the \"\"text\"\"\"\n1,a\n", {"a"}, "the \"text\""},
        Table{"WithSpaces", "id , \" text \" ,x\n1,a,b\n", {"a"}, "text"},
        // duckdb/duckdb#11403
        Table{"OneColumn", "col1\n\"cell with\nnewline\"\n", {"cell with\nnewline"}, "col1"},
        // pola-rs/polars#25166
        Table{"BehindBlankRows", "\n\ncol1\nval1\nval2\n", {"val1", "val2"}, ""},
        Table{"LongQuestions",
              "Timestamp,Email,\"" + std::string(120, 'q') + "?\",Comment\n2024,a@b,first,second\n",
              {"second"},
              "comment"},
        Table{"AskedForInAnyCase", "Nr,Inhalt\n1,eins\n", {"eins"}, "INHALT"},
        Table{"AskedForJoined", "kopf,rumpf\na,b\n", {"a b"}, "kopf+rumpf"},
        Table{"OfPolars", "column_1,column_2\na,first\n", {"first"}, "column_2"},
        Table{"OfR", "V1,V2\na,first\n", {"first"}, "V2"},
        Table{"OfPandasWithoutNames",
              ",0,1\n0,a,first one\n1,b,second\n",
              {"first one", "second"},
              "1"},
        Table{"NumbersAreNoNames", "0,1\n5,7\n", {"0", "5"}, "0"},
        // pola-rs/polars#1999: R leaves out the name of the row names.
        Table{"OneNameLessThanColumns",
              "\"text\",\"n\"\n\"1\",\"a\",5\n\"2\",\"b\",6\n\"3\",\"c\",7\n",
              {"a", "b", "c"},
              "text"},
        Table{"CommasThatNobodyQuoted", "id,text\n1,a\n2,b, c\n", {"a"}, ""},
        Table{"SeparatorsAtRowEnds", "id,text\n1,a,\n2,b,,\n", {"a", "b"}, ""},
        Table{"EmptyColumnsAtTheEnd", "id,text,,\n1,a,,\n2,b,,\n", {"a", "b"}, ""},
        Table{"BelowATitle", "Survey 2024\n\nid,text,n\n1,a,2\n2,b,3\n", {"a", "b"}, ""},
        Table{"BelowATitleOverAllColumns",
              "Survey 2024,,\nexported today,,\nid,text,n\n1,a,2\n2,b,3\n",
              {"a", "b"},
              "text"},
        Table{"BelowATitleSemicolons", "Survey 2024\nid;text\n1;a, b\n2;b\n", {"a, b", "b"}, ""},
        Table{"BelowComments", "# by a tool\n# 1,2\nid,text,n\n1,a,2\n2,b,3\n", {"a", "b"}, ""}),
    kName);

class DialectErrors : public TextTest {
 protected:
  std::string error(const std::string& content, const std::string& column = "") const {
    return testing::error_of([&] { read_all({"x", write("a.csv", content), column}); });
  }
};

TEST_F(DialectErrors, TwoColumnsOfOneName) {
  EXPECT_THAT(error("text,text\nleft words,right words\n", "text"),
              HasSubstr("a.csv: two columns are called 'text'; give a number: 0, 1"));
  EXPECT_THAT(error("id,text,text,text\n1,a,b,c\n"),
              HasSubstr("3 columns are called 'text'; give a number: 1, 2, 3"));
  EXPECT_THAT(error("title,title,body\na,b,c\n", "title+body"),
              HasSubstr("two columns are called 'title'"));
  EXPECT_THAT(error("Text,TEXT\na,b\n", "text"), HasSubstr("two columns are called 'Text'"));
  EXPECT_THAT(error("\"text\";\"text\"\na;b\n"), HasSubstr("two columns are called 'text'"));
  const auto read = [&](const std::string& content, const std::string& column) {
    return read_all({"x", write("a.csv", content), column}).texts;
  };
  EXPECT_THAT(read("text,text\nleft words,right words\n", "1"), ElementsAre("right words"));
  EXPECT_THAT(read("Text,text\na,b\n", "text"), ElementsAre("b"));
  EXPECT_THAT(read("n,n,text\na,b,c\n", ""), ElementsAre("c"));
}

TEST_F(DialectErrors, OneColumnYetAnotherSeparatorInEveryRow) {
  const std::string message = error("a;b;c\nd;e\nf;g;h;i\n");
  EXPECT_THAT(message, HasSubstr("every row holds ';'"));
  EXPECT_THAT(message, HasSubstr("sep=;"));
}

TEST_F(DialectErrors, OneColumnWithQuotesInside) {
  // pola-rs/polars#1999: R's tables have spaces between the columns.
  const std::string table = "\"V1\" \"V2\"\n\"1\" \"a, b\"\n\"2\" \"c\"\n";
  EXPECT_THAT(error("V1 \"V2\"\n1 \"a b\"\n2 \"c\"\n"), HasSubstr("every row holds quotes inside"));
  EXPECT_THAT(read_all({"x", write("a.csv", "sep= \n" + table), "V2"}).texts,
              ElementsAre("a, b", "c"));
}

TEST_F(DialectErrors, WhatWasSeenWhereTheColumnIsNot) {
  EXPECT_THAT(error("1;a, b\n2;c\n", "body"),
              HasSubstr("0 to 1 (the file has no header; it begins with '1', 'a, b')"));
}

TEST_F(DialectErrors, WhatStandsAboveAHeaderIsCounted) {
  const auto all = read_all({"x", write("a.csv", "Survey\n\nid,text\n1,a\n2,b\n"), ""});
  EXPECT_THAT(all.skipped, ElementsAre(Pair("above the header", 1), Pair("blank row", 1)));
  EXPECT_THAT(all.rows, ElementsAre(2, 3));
}

TEST_F(DialectErrors, SeparatorsThatWereGuessedAreSaid) {
  EXPECT_EQ(read_all({"x", write("a.csv", "id;text\n1;a\n"), ""}).description,
            "column 'text' (separated by ';') of a.csv");
  EXPECT_EQ(read_all({"x", write("a.tsv", "id\ttext\n1\ta\n"), ""}).description,
            "column 'text' of a.tsv");
}

}  // namespace
}  // namespace foregate::text
