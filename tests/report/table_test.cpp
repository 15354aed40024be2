#include "report/page/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/json.h"
#include "report/page/table_file.h"
#include "support/temporary_folder.h"

namespace foregate::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Table sample_table() {
  return {{{"name"}, {"count"}, {"share", Unit::kPercent}},
          {{"plain", int64_t{1234}, 0.5}, {"a,\"b\"", int64_t{0}, std::nan("")}}};
}

class TableFileTest : public ::testing::Test {
 protected:
  void write(const Table& table) const {
    TableFile file(folder_, "t");
    file.add(table);
    file.commit();
  }
  std::string csv() const { return read_file(folder_ / "t.csv"); }
  Json json() const { return read_json(folder_ / "t.json"); }

  testing::TemporaryFolder temporary_;
  const fs::path& folder_ = temporary_.path();
};

TEST_F(TableFileTest, CsvQuotesAndLeavesUndefinedEmpty) {
  write(sample_table());
  EXPECT_EQ(csv(), "name,count,share\nplain,1234,0.5\n\"a,\"\"b\"\"\",0,\n");
}

TEST_F(TableFileTest, JsonHasNullForUndefined) {
  write(sample_table());
  EXPECT_EQ(json().dump(), R"([{"name":"plain","count":1234,"share":0.5},)"
                           R"({"name":"a,\"b\"","count":0,"share":null}])");
}

TEST_F(TableFileTest, AllDigitsAreKept) {
  write({{{"x"}}, {{0.1 + 0.2}}});
  EXPECT_EQ(csv(), "x\n0.30000000000000004\n");
  EXPECT_EQ(json()[0]["x"], 0.1 + 0.2);
}

TEST_F(TableFileTest, NoRowsAndBrokenUtf8) {
  write({{{"x"}}, {}});
  EXPECT_EQ(csv(), "x\n");
  EXPECT_TRUE(json().empty());
  write({{{"name"}}, {{"\xff\n"}}});
  EXPECT_EQ(json()[0]["name"], "\xef\xbf\xbd ");
}

TEST_F(TableFileTest, ManyRowsPassTheBuffer) {
  Table table{{{"i"}, {"text"}}, {}};
  for (int64_t i = 0; i < 20000; ++i) table.rows.push_back({i, std::string(60, 'x')});
  write(table);
  const Json rows = json();
  ASSERT_EQ(rows.size(), 20000u);
  EXPECT_EQ(rows[19999]["i"], 19999);
}

TEST_F(TableFileTest, NothingAppearsWithoutCommit) {
  { TableFile(folder_, "t").add(sample_table()); }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST(TableTest, HtmlFormatsEscapesAndCutsLongTables) {
  EXPECT_THAT(sample_table().to_html(), HasSubstr("<td class=\"n\">1,234</td>"));
  EXPECT_THAT(sample_table().to_html(), HasSubstr("a,&quot;b&quot;"));
  EXPECT_THAT(sample_table().to_html(), HasSubstr("50.0%"));
  EXPECT_THAT(sample_table().to_html(), Not(HasSubstr("The first")));
  EXPECT_THAT(sample_table().to_html(0), HasSubstr("The first 1 of 2 rows"));
}

}  // namespace
}  // namespace foregate::report
