// Random bytes must come out as rows read, rows skipped, or a foregate error.
#include "base/encoding/csv_parser.h"
#include "base/random.h"
#include "text/datasets/json_scan.h"
#include "text/text_fixture.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

class RobustnessTest : public TextTest {};

/// Bytes of which many mean something to the parsers.
std::string noise(Random& random, const std::string& alphabet) {
  std::string bytes;
  const uint64_t size = 1 + random.below(400);
  for (uint64_t i = 0; i < size; ++i) {
    bytes += random.below(12) == 0 ? static_cast<char>(random.below(256))
                                   : alphabet[random.below(alphabet.size())];
  }
  return bytes;
}

TEST_F(RobustnessTest, RandomBytesInEveryTextFormat) {
  const std::map<std::string, std::string> alphabets{{"a.csv", "\",\n\r ab1"},
                                                     {"b.csv", "\";,|\t\\\n ab1"},
                                                     {"c.csv", "\"; \ntext"},
                                                     {"b.json", "{}[]\":,\n01NaN"},
                                                     {"a.tsv", "\"\t\n\r ab1"},
                                                     {"a.jsonl", "{}[]\":,\\\n tex1nul"},
                                                     {"a.json", "{}[]\":,\\\n tex1nul"},
                                                     {"a.txt", "ab \n\r"}};
  Random random(11);
  for (const auto& [file, alphabet] : alphabets) {
    for (int round = 0; round < 150; ++round) {
      const std::string bytes = noise(random, alphabet);
      const auto path = write(file, bytes);
      try {
        for (const std::string& text : read_all({"x", path, ""}).texts) {
          ASSERT_TRUE(is_valid_utf8(text)) << ::testing::PrintToString(bytes);
          ASSERT_FALSE(is_blank(text)) << ::testing::PrintToString(bytes);
        }
      } catch (const Error& error) {
        ASSERT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      }
    }
  }
}

TEST(CsvRobustness, EveryByteIsReadOnce) {
  Random random(13);
  for (int round = 0; round < 50'000; ++round) {
    const std::string bytes = noise(random, "\"\",\n\r ab");
    CsvParser parser(bytes, ',');
    size_t last = 0;
    for (CsvRow row; parser.next(row); last = parser.position()) {
      ASSERT_GT(parser.position(), last) << ::testing::PrintToString(bytes);
      ASSERT_EQ(row.cells.empty(), !row.problem.empty()) << ::testing::PrintToString(bytes);
    }
    ASSERT_EQ(parser.position(), bytes.size()) << ::testing::PrintToString(bytes);
  }
}

TEST(JsonRobustness, ArraysEnd) {
  Random random(14);
  for (int round = 0; round < 50'000; ++round) {
    const std::string bytes = noise(random, "{}[]\",:\\ x1");
    JsonArrayScanner scanner(bytes, 0);
    std::string_view element;
    bool whole = true;
    for (size_t count = 0; scanner.next(element, whole); ++count) {
      ASSERT_LT(count, bytes.size()) << ::testing::PrintToString(bytes);
      ASSERT_FALSE(element.empty()) << ::testing::PrintToString(bytes);
    }
    JsonMemberScanner members(bytes, 0);
    std::string_view key;
    for (size_t count = 0; members.next(key, element, whole); ++count) {
      ASSERT_LT(count, bytes.size()) << ::testing::PrintToString(bytes);
    }
  }
}

// No row may vanish: with one row a line, rows read and skipped are the lines.
TEST_F(RobustnessTest, EveryLineIsAccountedFor) {
  Random random(12);
  for (int round = 0; round < 100; ++round) {
    std::string lines = "text,label\n";
    const auto count = static_cast<int64_t>(1 + random.below(30));
    for (int64_t i = 0; i < count; ++i) {
      lines += noise(random, "ab, ");
      std::erase_if(lines, [](char c) { return c == '\r' || c == '"'; });
      lines += "\n";
    }
    const auto end_of_header = static_cast<long>(std::string("text,label\n").size());
    const auto rows = std::count(lines.begin() + end_of_header, lines.end(), '\n');
    const auto source = open_dataset({"x", write("a.csv", lines), ""});
    int64_t read = 0;
    for (Sample sample; source->next(sample);) ++read;
    EXPECT_EQ(read + source->num_skipped(), rows);
  }
}

}  // namespace
}  // namespace foregate::text
