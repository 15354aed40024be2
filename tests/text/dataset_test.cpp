#include "text/datasets/dataset.h"

#include "support/test_files.h"
#include "text/text_fixture.h"

namespace foregate::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class DatasetTest : public TextTest {
 protected:
  Contents read(const std::string& file, const std::string& content, const std::string& column = "",
                const std::string& name = "x") const {
    return read_all({name, write(file, content), column});
  }
};

TEST_F(DatasetTest, ParsesArguments) {
  const auto file = write("with:colon.csv", "text\na\n").string();
  const auto spec = [](const std::string& argument) {
    const auto parsed = DatasetSpec::parse(argument);
    return std::vector<std::string>{parsed.name, parsed.path.string(), parsed.column};
  };
  EXPECT_THAT(spec("a=" + file), ElementsAre("a", file, ""));
  EXPECT_THAT(spec("a=" + file + ":text"), ElementsAre("a", file, "text"));
  EXPECT_THAT(spec("a=" + file + ":c:d"), ElementsAre("a", file, "c:d"));
  EXPECT_THAT(spec("a=no/file.csv"), ElementsAre("a", "no/file.csv", ""));
  EXPECT_THAT(spec("a=no/file.csv:text"), ElementsAre("a", "no/file.csv", "text"));
  EXPECT_THAT(spec("a=b:c/file.csv"), ElementsAre("a", "b:c/file.csv", ""));
  EXPECT_THAT(spec("a=x=y.csv"), ElementsAre("a", "x=y.csv", ""));
  for (const char* wrong : {"", "file.csv", "=file.csv", "a="}) {
    EXPECT_THROW(DatasetSpec::parse(wrong), UsageError) << wrong;
  }
}

TEST_F(DatasetTest, TextLines) {
  const auto all = read("a.txt", "one\r\n\ntwo");
  EXPECT_THAT(all.texts, ElementsAre("one", "two"));
  EXPECT_THAT(all.rows, ElementsAre(0, 2));
  EXPECT_THAT(all.skipped, ElementsAre(Pair("blank text", 1)));
}

TEST_F(DatasetTest, LinesOfAHundredMegabytes) {
  const auto all = read("a.txt", "one\n" + std::string(100'000'000, 'x') + "\ntwo\n");
  EXPECT_THAT(all.texts, ElementsAre("one", "two"));
  EXPECT_THAT(all.skipped, ElementsAre(Pair("longer than 8 MiB", 1)));
}

TEST_F(DatasetTest, JsonLines) {
  const auto all = read("a.jsonl",
                        "{\"text\": \"one\", \"id\": 1}\n"
                        "{\"text\": \"tw\n"
                        "\n"
                        "{\"id\": 2}\n"
                        "{\"text\": 5}\n"
                        "[\"text\"]\n"
                        "{\"text\": \"l\xe9on\"}\n"
                        "{\"text\": \"\\ud800 two\"}\n"
                        "{\"text\": \" \"}\n");
  EXPECT_THAT(all.texts, ElementsAre("one", "l\xef\xbf\xbdon", "\xef\xbf\xbd two"));
  EXPECT_THAT(all.rows, ElementsAre(0, 6, 7));
  EXPECT_EQ(all.repaired, 2);
  EXPECT_THAT(all.skipped, UnorderedElementsAre(Pair("not valid JSON", 1), Pair("blank row", 1),
                                                Pair("field 'text' is missing", 1),
                                                Pair("field 'text' is not a text", 1),
                                                Pair("of type array", 1), Pair("blank text", 1)));
}

TEST_F(DatasetTest, JsonColumns) {
  const std::string line =
      "{\"meta\": {\"body\": \"b\"}, \"title\": \"t\", \"other\": \"longest\"}\n";
  EXPECT_THAT(read("a.jsonl", line, "meta.body").texts, ElementsAre("b"));
  EXPECT_THAT(read("a.jsonl", line, "title+meta.body").texts, ElementsAre("t b"));
  EXPECT_THAT(read("a.jsonl", line).texts, ElementsAre("longest"));
  EXPECT_THAT(testing::error_of([&] { read("a.jsonl", line, "text"); }),
              HasSubstr("'meta.body', 'other', 'title'"));
}

TEST_F(DatasetTest, JsonNestedWithoutEnd) {
  const std::string deep = std::string(500'000, '[') + std::string(500'000, ']');
  const auto all =
      read("a.jsonl", "{\"text\": \"one\", \"other\": " + deep + "}\n{\"text\": " + deep + "}\n");
  EXPECT_THAT(all.texts, ElementsAre("one"));
  EXPECT_THAT(all.skipped, ElementsAre(Pair("field 'text' is not a text", 1)));
}

TEST_F(DatasetTest, JsonDocuments) {
  EXPECT_THAT(read("a.json", "[{\"text\": \"one\"},\n {\"text\": \"two\"}]").texts,
              ElementsAre("one", "two"));
  EXPECT_THAT(read("a.json", " [\"one\", \"t]\\\"wo\"] ").texts, ElementsAre("one", "t]\"wo"));
  EXPECT_THAT(read("a.json", "{\"n\": [1], \"rows\": [{\"text\": \"one\"}]}").texts,
              ElementsAre("one"));
  EXPECT_THAT(read("a.json", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n").texts,
              ElementsAre("one", "two"));
  EXPECT_THAT(read("a.json", "{\"text\": \"one\"}").texts, ElementsAre("one"));
  EXPECT_THAT(read("a.json", "{\n\"text\": \"one\"}").texts, ElementsAre("one"));
  EXPECT_THROW(read("a.json", "not json"), DataError);
  EXPECT_THROW(read("a.json", "[]"), DataError);
}

TEST_F(DatasetTest, JsonArrayWithBrokenAndCutOffElements) {
  const auto all =
      read("a.json", "[{\"text\": \"one\"}, {\"text\": nul}, {\"text\": \"two\"}, {\"te");
  EXPECT_THAT(all.texts, ElementsAre("one", "two"));
  EXPECT_THAT(all.skipped, UnorderedElementsAre(Pair("not valid JSON", 1),
                                                Pair("cut off by the end of the file", 1)));
}

TEST_F(DatasetTest, SquadContextsCountOnce) {
  const std::string document =
      "{\"version\": \"v2.0\", \"data\": [{\"title\": \"A\", \"paragraphs\": [{\"qas\": [], "
      "\"context\": "
      "\"c1\"}, {\"context\": \"c2\"}, {\"qas\": []}]}, {\"title\": \"B\", \"paragraphs\": "
      "[{\"context\": \"c1\"}]}, {\"title\": \"C\"}]}";
  const auto all = read("a.json", document, "", "reading-passages");
  EXPECT_THAT(all.texts, ElementsAre("c1", "c2"));
  EXPECT_THAT(all.skipped,
              UnorderedElementsAre(Pair("repeated text", 1), Pair("paragraph without 'context'", 1),
                                   Pair("article without 'paragraphs'", 1)));
  const std::string rows = "{\"question\": \"q1\", \"context\": \"c\"}\n";
  EXPECT_THAT(read("a.jsonl", rows + rows, "", "squad").texts, ElementsAre("c"));
}

// tests/data/text/make_tables.py made the tables.
class TableTest : public ::testing::TestWithParam<const char*> {};

TEST_P(TableTest, ReadsTextColumns) {
  const auto path = test_data(GetParam());
  const auto all = read_all({"x", path, ""});
  EXPECT_THAT(all.texts, ElementsAre("first", "zweites \xc3\xa4", "fourth"));
  EXPECT_THAT(all.rows, ElementsAre(0, 1, 3));
  EXPECT_THAT(all.skipped, UnorderedElementsAre(Pair("null text", 1), Pair("blank text", 1)));
  EXPECT_THAT(read_all({"x", path, "meta.note"}).texts, ElementsAre("n0", "n3"));
  EXPECT_THAT(read_all({"x", path, "kind"}).texts, ElementsAre("a", "b", "a", "b", "a"));
  EXPECT_THAT(read_all({"x", path, "kind+meta.note"}).texts, ElementsAre("a n0", "b n3", "a"));
  EXPECT_THAT(testing::error_of([&] {
                read_all({"x", path, "label"});
              }),
              HasSubstr("'kind', 'text', 'meta.note'"));
}

INSTANTIATE_TEST_SUITE_P(Formats, TableTest,
                         ::testing::Values("table.parquet", "table.arrow", "table_stream.arrow"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

TEST_F(DatasetTest, BrokenParquet) {
  std::ifstream stream(test_data("table.parquet"), std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(stream)), {});
  EXPECT_THROW(read("a.parquet", whole.substr(0, whole.size() / 2)), DataError);
  EXPECT_THROW(read("a.parquet", "PAR1"), DataError);
  std::string damaged = whole;
  for (size_t i = 4; i < 200; ++i) damaged[i] = '\x5a';
  EXPECT_THROW(read("a.parquet", damaged), DataError);
  EXPECT_EQ(read("named_wrongly.csv", whole).texts.size(), 3U);
}

TEST_F(DatasetTest, Directories) {
  write("d/b.csv", "text\nfrom b\n");
  write("d/a.jsonl", "{\"text\": \"from a\"}\n");
  write("d/empty.csv", "");
  write("d/sub/c.tsv", "text\tlabel\n\t1\nfrom c\t2\n");
  write("d/.hidden/e.csv", "text\nhidden\n");
  write("d/README.md", "no data");
  write("d/notes.txt", "no data either");
  write("d/dataset_infos.json", "{}");
  const auto all = read_all({"x", folder_ / "d", ""});
  EXPECT_THAT(all.texts, ElementsAre("from a", "from b", "from c"));
  EXPECT_THAT(all.rows, ElementsAre(0, 1, 3));
  EXPECT_THAT(all.skipped, ElementsAre(Pair("blank text", 1)));
  write("t/one.txt", "line\n");
  EXPECT_THAT(read_all({"x", folder_ / "t", ""}).texts, ElementsAre("line"));
  std::filesystem::create_directories(folder_ / "none");
  EXPECT_THROW(read_all({"x", folder_ / "none", ""}), DataError);
}

TEST_F(DatasetTest, MissingAndUnknown) {
  EXPECT_THROW(read_all({"x", folder_ / "none.csv", ""}), EnvironmentError);
  EXPECT_THAT(testing::error_of([&] { read("a.xyz", "hello"); }), HasSubstr("format not known"));
  EXPECT_THAT(read("no_extension", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n").texts,
              ElementsAre("a", "b"));
}

struct Real {
  const char* name;
  size_t texts;
};

class RealDatasetTest : public ::testing::TestWithParam<Real> {};

TEST_P(RealDatasetTest, IsReadWhole) {
  const auto path = shared_folder() / "data" / GetParam().name;
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path << "; set FOREGATE_SHARED";
  const auto all = read_all({GetParam().name, path, ""});
  EXPECT_EQ(all.texts.size(), GetParam().texts);
  EXPECT_THAT(all.skipped, IsEmpty());
  EXPECT_EQ(all.repaired, 0);
}

INSTANTIATE_TEST_SUITE_P(Shared, RealDatasetTest,
                         ::testing::Values(Real{"imdb", 4000}, Real{"yelp_review_full", 5000},
                                           Real{"ag_news", 7600}, Real{"squad", 646},
                                           Real{"amazon_polarity", 2160}, Real{"dbpedia_14", 5000}),
                         [](const auto& test) { return test.param.name; });

// https://github.com/eugr/spark-vllm-docker/pull/408
TEST_F(TextTest, LinksThatLeadNowhereAreNotPassedOver) {
  write("p/a.csv", "id,text\n1,\"a, b\"\n2,\"c, d\"\n");
  std::filesystem::create_symlink("../blobs/gone", folder_ / "p/b.csv");
  std::filesystem::create_symlink("../blobs/gone", folder_ / "p/notes.md");
  for (const char* path : {"p", "p/*.csv", "p/b.csv"}) {
    EXPECT_THAT(testing::error_of([&] {
                  read_all({"x", folder_ / path, ""});
                }),
                HasSubstr("b.csv is a link to ../blobs/gone, which is not there"))
        << path;
  }
}

}  // namespace
}  // namespace foregate::text
