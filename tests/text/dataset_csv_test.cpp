#include "text/text_fixture.h"

#include "support/test_files.h"

namespace foregate::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class CsvDatasetTest : public TextTest {
 protected:
  Contents read(const std::string& content, const std::string& column = "",
                const std::string& name = "x", const std::string& file = "a.csv") const {
    return read_all({name, write(file, content), column});
  }
};

TEST_F(CsvDatasetTest, HeaderWithUsualName) {
  const auto all = read("label,text\n1,first one\n0,\"second, one\"\n");
  EXPECT_THAT(all.texts, ElementsAre("first one", "second, one"));
  EXPECT_THAT(all.rows, ElementsAre(0, 1));
  EXPECT_THAT(all.skipped, IsEmpty());
  EXPECT_EQ(all.description, "column 'text' of a.csv");
}

TEST_F(CsvDatasetTest, HeaderWithByteOrderMarkAndSpaces) {
  const auto all = read("\xef\xbb\xbf  Text \tlabel\r\na\t1\r\n", "", "x", "a.tsv");
  EXPECT_THAT(all.texts, ElementsAre("a"));
}

TEST_F(CsvDatasetTest, HeaderWithUnusualNames) {
  const std::string row = "eine recht lange Kritik mit mehr als vierzig Zeichen darin,gut\n";
  const auto all = read("kritik,urteil\n" + row + row);
  EXPECT_EQ(all.texts.size(), 2U);
  EXPECT_EQ(all.description, "column 'kritik' (the longest texts) of a.csv");
  EXPECT_THAT(read("note,art\nviel,1\nwenig,2\n").texts, ElementsAre("viel", "wenig"));
}

// Of instructions to be followed only some come with an input.
TEST_F(CsvDatasetTest, InstructionsComeBeforeInputs) {
  const auto all = read("instruction,input,output\nAdd,1 and 2,3\nName a colour,,red\n");
  EXPECT_THAT(all.texts, ElementsAre("Add", "Name a colour"));
}

TEST_F(CsvDatasetTest, NoHeader) {
  const auto all =
      read("\"3\",\"A title\",\"A longer description\"\n\"1\",\"B\",\"Of something\"\n");
  EXPECT_THAT(all.texts, ElementsAre("A longer description", "Of something"));
  EXPECT_EQ(all.description, "column 2 (the longest texts) (no header) of a.csv");
  EXPECT_THAT(read("One sentence stands here.\nAnother follows.\n").texts.size(), 2U);
}

TEST_F(CsvDatasetTest, ColumnByNameNumberAndSum) {
  const std::string table = "id,title,text\n7,T,body\n";
  EXPECT_THAT(read(table, "title").texts, ElementsAre("T"));
  EXPECT_THAT(read(table, "TITLE").texts, ElementsAre("T"));
  EXPECT_THAT(read(table, "2").texts, ElementsAre("body"));
  EXPECT_THAT(read(table, "title+text").texts, ElementsAre("T body"));
  EXPECT_THAT(read("3,T,body\n4,U,soul\n", "1+2").texts, ElementsAre("T body", "U soul"));
  EXPECT_THAT(read("x1,y\nname of it,z\n", "x1").texts, ElementsAre("name of it"));
}

TEST_F(CsvDatasetTest, UnknownColumnNamesThoseThereAre) {
  EXPECT_THAT(testing::error_of([&] { read("id,text\n1,a\n", "body"); }),
              ::testing::AllOf(HasSubstr("'body'"), HasSubstr("'id', 'text'"), HasSubstr("a.csv")));
  EXPECT_THAT(testing::error_of([&] { read("1,a\n2,b\n", "body"); }), HasSubstr("0 to 1"));
  EXPECT_THAT(testing::error_of([&] { read("1,a\n2,b\n", "2"); }), HasSubstr("0 to 1"));
}

TEST_F(CsvDatasetTest, Presets) {
  EXPECT_THAT(read("3,Title,A description\n", "", "ag_news").texts,
              ElementsAre("Title A description"));
  EXPECT_THAT(read("Class Index,Title,Description\n3,T,D\n", "", "ag_news").texts,
              ElementsAre("T D"));
  EXPECT_THAT(read("label,title,content\n1,T,C\n", "", "amazon_polarity").texts, ElementsAre("C"));
  EXPECT_THAT(read("1,Some title,And the content of it\n", "", "dbpedia_14").texts,
              ElementsAre("And the content of it"));
  EXPECT_THAT(read("1,And the content of it\n", "", "dbpedia_14").texts,
              ElementsAre("And the content of it"));
  EXPECT_THAT(read("review,sentiment\ngood,positive\n", "", "imdb").texts, ElementsAre("good"));
}

TEST_F(CsvDatasetTest, BrokenRowsAreCountedByReason) {
  const auto all = read(
      "text,label\n"
      "good,1\n"
      "\n"
      ",0\n"
      "too,many,cells\n"
      "one\n" +
      std::string("nul\0byte,1\n", 11) +
      "  ,1\n"
      "caf\xe9,1\n"
      "\"open,1\n"
      "last,0\n");
  EXPECT_THAT(all.texts, ElementsAre("good", "caf\xef\xbf\xbd", "last"));
  EXPECT_THAT(all.rows, ElementsAre(0, 7, 9));
  EXPECT_EQ(all.repaired, 1);
  EXPECT_THAT(all.skipped,
              UnorderedElementsAre(Pair("blank row", 1), Pair("blank text", 2),
                                   Pair("more than 2 columns", 1), Pair("fewer than 2 columns", 1),
                                   Pair("NUL byte", 1), Pair("quote not closed", 1)));
}

TEST_F(CsvDatasetTest, HeaderRunsIntoFirstRow) {
  const auto all = read("text,labelGreat film,1\nBad film,0\nFine film,1\n");
  EXPECT_THAT(all.texts, ElementsAre("Bad film", "Fine film"));
  EXPECT_THAT(all.skipped, ElementsAre(Pair("header runs into the first row", 1)));
  EXPECT_THAT(read("text,label_name\nBad,x\n").texts, ElementsAre("Bad"));
}

TEST_F(CsvDatasetTest, FilesThatAreNoTable) {
  EXPECT_THROW(read(""), DataError);
  EXPECT_THROW(read("\n\n\n"), DataError);
  EXPECT_THAT(testing::error_of([&] {
                read(
                    "\x1f\x8b"
                    "a\n");
              }),
              HasSubstr("cannot unpack"));
}

struct Messy {
  const char* file;
  int64_t read, skipped;
};

class MessyTest : public ::testing::TestWithParam<Messy> {};

TEST_P(MessyTest, EveryRowIsReadOrSkippedWithAReason) {
  const auto path = shared_folder() / "data/messy" / GetParam().file;
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path << "; set FOREGATE_SHARED";
  const auto all = read_all({"x", path, ""});
  int64_t skipped = 0;
  for (const auto& [reason, rows] : all.skipped) {
    EXPECT_FALSE(reason.empty());
    skipped += rows;
  }
  EXPECT_EQ(static_cast<int64_t>(all.texts.size()), GetParam().read);
  EXPECT_EQ(skipped, GetParam().skipped);
}

INSTANTIATE_TEST_SUITE_P(Shared, MessyTest,
                         ::testing::Values(Messy{"amazon_bom_spaces.tsv", 3071, 79},
                                           Messy{"amazon_malformed.csv", 1172, 3829},
                                           Messy{"amazon_no_header.csv", 5048, 2},
                                           Messy{"dbpedia_blank_rows.csv", 641, 4014}));

}  // namespace
}  // namespace foregate::text
