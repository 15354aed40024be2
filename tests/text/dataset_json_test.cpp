// JSON in every shape that pandas, polars and Python's json write, and partly broken lines.
#include "text/text_fixture.h"

#include "support/test_files.h"

namespace foregate::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

struct Document {
  const char* name;
  std::string content;
  std::string column;
  std::vector<std::string> texts{"one, two", "three"};
  std::string file = "a.json";
};

class JsonShapeTest : public TextTest, public ::testing::WithParamInterface<Document> {};

TEST_P(JsonShapeTest, ReadsTheTexts) {
  const Document& document = GetParam();
  const auto all = read_all({"x", write(document.file, document.content), document.column});
  EXPECT_EQ(all.texts, document.texts);
  EXPECT_THAT(all.skipped, IsEmpty());
}

const auto kName = [](const auto& test) { return std::string(test.param.name); };

INSTANTIATE_TEST_SUITE_P(
    Pandas, JsonShapeTest,
    ::testing::Values(
        Document{"Records", R"([{"id":0,"text":"one, two"},{"id":1,"text":"three"}])", ""},
        Document{"Split",
                 R"({"columns":["id","text"],"index":[0,1],"data":[[0,"one, two"],[1,"three"]]})",
                 ""},
        Document{
            "SplitByName",
            R"({"index":["a","b"],"columns":["text","n"],"data":[["one, two",1],["three",2]]})",
            "text"},
        Document{
            "Tight",
            R"({"index":[0,1],"columns":["id","text"],"data":[[0,"one, two"],[1,"three"]],"index_names":[null],)"
            R"("column_names":[null]})",
            "text"},
        Document{"SplitOfSeveralLevels",
                 R"({"columns":[["a","id"],["a","body"]],"index":[0],"data":[[0,"x"]]})",
                 "a.body",
                 {"x"}},
        Document{"Index", R"({"0":{"id":0,"text":"one, two"},"1":{"id":1,"text":"three"}})", ""},
        Document{"IndexOfStrings",
                 R"({"q1":{"id":0,"text":"one, two"},"q2":{"id":1,"text":"three"}})", ""},
        Document{"Columns", R"({"id":{"0":0,"1":1},"text":{"0":"one, two","1":"three"}})", ""},
        Document{"ColumnsByName", R"({"zeile":{"0":"one, two","1":"three"},"n":{"0":0,"1":1}})",
                 "zeile"},
        Document{"ColumnsByStringIndex",
                 R"({"id":{"a":0,"b":1},"text":{"a":"one, two","b":"three"}})", ""},
        Document{"ColumnsPretty",
                 "{\n  \"id\": {\n    \"0\": 0,\n    \"1\": 1\n  },\n  \"text\": {\n    \"0\": "
                 "\"one, two\",\n    \"1\": \"three\"\n  }\n}\n",
                 ""},
        Document{"ColumnsJoined", R"({"title":{"5":"one,","7":"three"},"text":{"5":"two","7":""}})",
                 "title+text"},
        Document{"Values", R"([[0,"one, two"],[1,"three"]])", ""},
        Document{"ValuesByNumber", R"([["x","one, two"],["a longer one","three"]])", "1"},
        Document{"ValuesWithNames", R"([["id","text"],[0,"one, two"],[1,"three"]])", "text"},
        Document{
            "Table",
            R"({"schema":{"fields":[{"name":"index","type":"integer"},{"name":"text","type":"string"}],)"
            R"("primaryKey":["index"],"pandas_version":"1.4.0"},"data":[{"index":0,"text":"one, two"},)"
            R"({"index":1,"text":"three"}]})",
            ""},
        Document{"Series", R"({"0":"one, two","1":"three"})", ""},
        Document{"Lists", R"({"id":[0,1],"text":["one, two","three"]})", ""},
        Document{"ListsAndANote", R"({"version":"1.0","id":[0,1],"text":["one, two","three"]})",
                 "text"}),
    kName);

INSTANTIATE_TEST_SUITE_P(
    Others, JsonShapeTest,
    ::testing::Values(
        Document{
            "PolarsColumns",
            R"({"columns":[{"name":"id","datatype":"Int64","bit_settings":"","values":[0,1]},)"
            R"({"name":"text","datatype":"String","bit_settings":"","values":["one, two","three"]}]})",
            ""},
        Document{
            "HubsRows",
            R"({"features":[{"feature_idx":0,"name":"text"}],"rows":[{"row_idx":0,"row":{"text":"one, two"}},)"
            R"({"row_idx":1,"row":{"text":"three"}}],"num_rows_total":2})",
            ""},
        Document{"SplitsByName",
                 R"({"train":[{"text":"one, two"},{"text":"three"}],"test":[{"text":"x"}]})",
                 "train.text"},
        Document{"StringsInAnObject", R"({"version":2,"ids":[1],"texts":["one, two","three"]})",
                 ""},
        Document{"OneRecord", "{\n  \"text\": \"one\",\n  \"n\": 1\n}\n", "", {"one"}},
        Document{
            "OneRecordByPath", "{\n  \"a\": {\"b\": \"one\"},\n  \"c\": [1]\n}\n", "a.b", {"one"}},
        Document{"CommaAtTheEnd", R"([{"text":"one, two"},{"text":"three"},])", ""},
        Document{"Mark", "\xef\xbb\xbf[{\"text\":\"one, two\"},{\"text\":\"three\"}]", ""}),
    kName);

INSTANTIATE_TEST_SUITE_P(
    Lines, JsonShapeTest,
    ::testing::Values(
        // pandas-dev/pandas#30716, pola-rs/polars#16245, pola-rs/polars#10041
        Document{
            "Nonfinite",
            "{\"text\":\"one, two\",\"x\":NaN}\n{\"text\":\"three\",\"x\":[-Infinity,Infinity]}\n",
            "",
            {"one, two", "three"},
            "a.jsonl"},
        Document{"NonfiniteInTexts",
                 "{\"text\":\"NaN, \\\"Infinity\",\"x\":NaN}\n",
                 "",
                 {"NaN, \"Infinity"},
                 "a.jsonl"},
        Document{"NonfiniteInADocument",
                 R"([{"text":"one, two","x":NaN},{"text":"three","x":nan}])", ""},
        Document{"Pretty",
                 "{\n  \"text\": \"one, two\",\n  \"n\": 1\n}\n{\n  \"text\": \"three\",\n  \"n\": "
                 "1\n}\n",
                 "",
                 {"one, two", "three"},
                 "a.jsonl"},
        Document{"PrettyInJson", "{\n  \"text\": \"one, two\"\n}\n{\n  \"text\": \"three\"\n}\n",
                 ""},
        Document{"PrettyNested",
                 "{\n\t\"meta\": {\"a\": 1},\n\t\"text\": \"one, two\"\n}\n\n{\n\t\"meta\": "
                 "{\n\t\t\"a\": 2},\n\t\"text\": "
                 "\"three\"\n}\n",
                 "",
                 {"one, two", "three"},
                 "a.jsonl"},
        Document{"PrettyArrayCalledLines",
                 "[\n  {\n    \"text\": \"one, two\"\n  },\n  {\n    \"text\": \"three\"\n  }\n]\n",
                 "",
                 {"one, two", "three"},
                 "a.jsonl"},
        Document{"ArrayOfLinesCalledLines",
                 "[\n{\"text\":\"one, two\"},\n{\"text\":\"three\"}\n]\n",
                 "",
                 {"one, two", "three"},
                 "a.jsonl"},
        Document{"ArrayOnOneLineCalledLines",
                 R"([{"text":"one, two"},{"text":"three"}])",
                 "",
                 {"one, two", "three"},
                 "a.jsonl"},
        // to_json() without lines=True
        Document{"ColumnsCalledLines",
                 R"({"id":{"0":0,"1":1},"text":{"0":"one, two","1":"three"}})",
                 "",
                 {"one, two", "three"},
                 "a.jsonl"},
        Document{"ListsCalledLines",
                 R"({"id":[0,1],"text":["one, two","three"]})",
                 "",
                 {"one, two", "three"},
                 "a.jsonl"},
        Document{"CommasAtLineEnds",
                 "{\"text\":\"one, two\"},\n{\"text\":\"three\"},\n",
                 "",
                 {"one, two", "three"},
                 "a.jsonl"},
        Document{"TwoOnALine",
                 "{\"text\":\"one, two\"}{\"text\":\"three\"}\n{\"text\":\"four\"} "
                 "{\"text\":\"five\"}\n",
                 "",
                 {"one, two", "three", "four", "five"},
                 "a.jsonl"},
        Document{"RecordSeparators",
                 "\x1e{\"text\":\"one, two\"}\n\x1e{\"text\":\"three\"}\n",
                 "",
                 {"one, two", "three"},
                 "a.jsonl"},
        Document{"MarksOfFilesPutTogether",
                 "\xef\xbb\xbf{\"text\":\"one, two\"}\n\xef\xbb\xbf{\"text\":\"three\"}\n",
                 "",
                 {"one, two", "three"},
                 "a.jsonl"},
        Document{
            "Cells", "[0,\"one, two\"]\n[1,\"three\"]\n", "", {"one, two", "three"}, "a.jsonl"},
        Document{"CellsWithNames",
                 "[\"id\",\"text\"]\n[0,\"one, two\"]\n[1,\"three\"]\n",
                 "text",
                 {"one, two", "three"},
                 "a.jsonl"},
        // pola-rs/polars#5783
        Document{"OneLine", "{\"Column1\":\"Value1\"}\n", "", {"Value1"}, "a.jsonl"},
        Document{"OneLineWithAList",
                 "{\"id\":1,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n",
                 "messages.content",
                 {"hi"},
                 "a.jsonl"}),
    kName);

class JsonFaultTest : public TextTest {
 protected:
  Contents read(const std::string& file, const std::string& content,
                const std::string& column = "") const {
    return read_all({"x", write(file, content), column});
  }
  std::string error(const std::string& file, const std::string& content,
                    const std::string& column = "") const {
    return testing::error_of([&] { read(file, content, column); });
  }
};

TEST_F(JsonFaultTest, AllLinesBad) {
  EXPECT_THAT(
      error("a.jsonl", "{\"text\":\"a\",\"x\":oops}\n{\"text\" \"b\"}\n\n{'text': 'c'}\n"),
      HasSubstr(
          "a.jsonl: 3 of 3 lines are not valid JSON, the first: line 1, column 17, at oops}"));
  EXPECT_THAT(error("a.jsonl", "\n{'text': 'c'}\n"),
              HasSubstr("1 of 1 lines are not valid JSON, the first: line 2, column 2"));
  EXPECT_THAT(error("a.jsonl", "{\"text\": \"cut"),
              HasSubstr("line 1, column 14, where it ends too early"));
  EXPECT_THAT(error("a.json", "[{\"text\": nul},\n{\"text\" 1}]"),
              HasSubstr("2 of 2 records are not valid JSON"));
  EXPECT_THAT(error("a.jsonl", " \n\n"), HasSubstr("nothing but blanks"));
}

TEST_F(JsonFaultTest, SomeLinesBad) {
  const auto all = read(
      "a.jsonl", "{\"text\": \"tw\n{\"text\":\"one\",\"x\":NaN}\n{}\nnot\n{\"text\":\"two\"}\n");
  EXPECT_THAT(all.texts, ElementsAre("one", "two"));
  EXPECT_THAT(all.rows, ElementsAre(1, 4));
  EXPECT_THAT(all.skipped,
              UnorderedElementsAre(Pair("not valid JSON", 2), Pair("field 'text' is missing", 1)));
}

TEST_F(JsonFaultTest, SomePrettyRecordsBad) {
  const auto all = read("a.jsonl",
                        "{\n \"text\": \"one\"\n}\n{\n \"text\": \"lost,\n \"n\": 1\n}\n{\n "
                        "\"text\": \"two\"\n}\n{\n \"te");
  EXPECT_THAT(all.texts, ElementsAre("one", "two"));
  EXPECT_THAT(all.skipped, UnorderedElementsAre(Pair("not valid JSON", 1),
                                                Pair("cut off by the end of the file", 1)));
}

TEST_F(JsonFaultTest, WhatNeitherRowsNorColumnsExplain) {
  EXPECT_THAT(error("a.json", R"({"model_type":"x","layers":3})"),
              HasSubstr("one object with the keys 'model_type', 'layers'"));
  EXPECT_THAT(error("a.json", R"({"a":{"x":"1","y":"2"},"b":{"x":"3","y":"4"}})"),
              HasSubstr("rows cannot be told from columns"));
  EXPECT_THAT(error("a.json", R"({"a":["x","y"],"b":["z"]})"), HasSubstr("'a' of 2, 'b' of 1"));
  EXPECT_THAT(error("a.json", R"({"train":[{"text":"a"}],"test":[{"text":"b"}]})"),
              HasSubstr("several lists of records: 'train', 'test'; choose one as in :train.text"));
  EXPECT_THAT(error("a.json", R"([[{"role":"user","content":"a"}]])"),
              HasSubstr("lists of objects"));
  EXPECT_THAT(error("a.json", R"({"columns":["text","text"],"data":[["a","b"]]})"),
              HasSubstr("two columns are called 'text'"));
}

TEST_F(JsonFaultTest, ColumnsThatDoNotMatch) {
  const auto all =
      read("a.json", R"({"id":{"0":0,"1":1},"text":{"0":"one","2":"two","3":"three"}})");
  EXPECT_THAT(all.texts, ElementsAre("one"));
  EXPECT_THAT(all.skipped, UnorderedElementsAre(Pair("columns with different row labels", 1),
                                                Pair("columns of different length", 1)));
  const auto cells =
      read("a.json", R"({"columns":["text","n"],"data":[["one",1],["two"],["three",3,4],5]})");
  EXPECT_THAT(cells.texts, ElementsAre("one"));
  EXPECT_THAT(cells.skipped,
              UnorderedElementsAre(Pair("fewer than 2 columns", 1), Pair("more than 2 columns", 1),
                                   Pair("of type number", 1)));
}

TEST_F(JsonFaultTest, ObjectsThatEndInTheMiddle) {
  const auto all =
      read("a.json", R"({"0":{"text":"one"},"1":{"text":"two"} oops "2":{"text":"three"}})");
  EXPECT_THAT(all.texts, ElementsAre("one", "two"));
  EXPECT_THAT(all.skipped, ElementsAre(Pair("what is behind it in the object cannot be read", 1)));
}

// https://github.com/daaain/claude-code-log/issues/139, https://github.com/henu/bigjson/issues/16
TEST_F(TextTest, HalvesOfSurrogatePairsAreReadAndCounted) {
  const std::string cut = R"({"n":"\ud83c","text":"a byte \udcb2 here"})";
  const std::string whole = R"({"n":"\ud83c","text":"a glass \ud83c\udf78"})";
  const std::vector<std::string> texts{"a byte \xef\xbf\xbd here", "a glass \xf0\x9f\x8d\xb8"};
  const std::map<std::string, std::string> documents{
      {"lines.jsonl", cut + "\n" + whole + "\n"},
      {"array.json", "[" + cut + "," + whole + "]"},
      {"object.json", R"({"data":[)" + cut + "," + whole + "]}"},
      {"columns.json", R"({"text":["a byte \udcb2 here","a glass \ud83c\udf78"]})"},
      {"rows.jsonl", R"(["n\ud83c","text"])"
                     "\n"
                     R"([1,"a byte \udcb2 here"])"
                     "\n"
                     R"([2,"a glass \ud83c\udf78"])"
                     "\n"},
  };
  for (const auto& [name, content] : documents) {
    const auto all = read_all({"x", write(name, content), "text"});
    EXPECT_EQ(all.texts, texts) << name;
    EXPECT_THAT(all.skipped, IsEmpty()) << name;
    EXPECT_EQ(all.repaired, 1) << name;  // Not the one whose text is whole.
  }
}

TEST_F(TextTest, BytesThatAreNoUtf8AreCountedInJsonToo) {
  const auto all =
      read_all({"x", write("a.jsonl", "{\"text\":\"caf\xe9 open\"}\n{\"text\":\"b\"}\n"), ""});
  EXPECT_THAT(all.texts, ElementsAre("caf\xef\xbf\xbd open", "b"));
  EXPECT_EQ(all.repaired, 1);
}

}  // namespace
}  // namespace foregate::text
