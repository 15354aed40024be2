#include "base/containers/safetensors_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "support/test_files.h"

namespace foregate {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::safetensors_bytes;

TEST(SafetensorsHeader, ReadsEntriesInDataOrder) {
  const std::string file =
      safetensors_bytes(R"({"__metadata__":{"format":"pt"},)"
                        R"("b":{"dtype":"I64","shape":[],"data_offsets":[4,12]},)"
                        R"("e":{"dtype":"BF16","shape":[3,0],"data_offsets":[12,12]},)"
                        R"("a":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}}  )",
                        std::string(12, 'x'));
  const SafetensorsHeader header = parse_safetensors_header(file, "f");
  ASSERT_EQ(header.tensors.size(), 3U);
  EXPECT_EQ(header.tensors[0].name, "a");
  EXPECT_EQ(header.tensors[0].dtype, "F16");
  EXPECT_EQ(header.tensors[0].shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(header.tensors[1].name, "b");
  EXPECT_EQ(header.tensors[2].name, "e");
  EXPECT_EQ(header.metadata.at("format"), "pt");
  EXPECT_EQ(header.data_start + 12, file.size());
}

TEST(SafetensorsHeader, WrittenHeaderReadsBack) {
  const std::vector<TensorRecord> tensors = {{"w\"\n\u00e9", "F32", {2, 3}, 0, 24},
                                             {"empty", "BOOL", {0}, 24, 24}};
  const std::string bytes = make_safetensors_header(tensors, {{"k", "v"}});
  EXPECT_EQ(bytes.size() % 8, 0U);
  const SafetensorsHeader header = parse_safetensors_header(bytes + std::string(24, '\0'), "f");
  ASSERT_EQ(header.tensors.size(), 2U);
  EXPECT_EQ(header.tensors[0].name, tensors[0].name);
  EXPECT_EQ(header.tensors[0].shape, tensors[0].shape);
  EXPECT_EQ(header.metadata.at("k"), "v");
}

struct BrokenCase {
  const char* name;
  std::string bytes;
  const char* expected;  ///< part of the message
};

std::string entry(const std::string& fields, size_t data = 8) {
  return safetensors_bytes("{\"t\":{" + fields + "}}", std::string(data, '\0'));
}

std::vector<BrokenCase> broken_cases() {
  const std::string good = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  const std::string pair = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)";
  const auto two = [&](const std::string& second, size_t data) {
    return safetensors_bytes("{" + pair + second + "}", std::string(data, '\0'));
  };
  return {
      {"empty", "", "0 bytes is too small"},
      {"seven_bytes", "1234567", "7 bytes is too small"},
      {"huge_header", std::string(16, '\xff'), "18446744073709551615"},
      {"header_beyond_file", safetensors_bytes("{}").substr(0, 9), "truncated"},
      {"not_json", safetensors_bytes("{oops"), "not valid JSON"},
      {"not_utf8", safetensors_bytes("{\"\xff\xfe\":1}"), "not valid JSON"},
      {"empty_header", safetensors_bytes(""), "not valid JSON"},
      {"not_object", safetensors_bytes("[1]"), "not a JSON object"},
      {"deep", safetensors_bytes(std::string(100000, '[')), "not valid JSON"},
      {"duplicate_tensor",
       safetensors_bytes("{\"t\":{" + good + "},\"t\":{" + good + "}}", "12345678"),
       "key \"t\" twice"},
      {"duplicate_field", entry(good + R"(,"dtype":"F32")"), "key \"dtype\" twice"},
      {"entry_not_object", safetensors_bytes(R"({"t":3})"), "tensor \"t\""},
      {"no_dtype", entry(R"("shape":[2],"data_offsets":[0,8])"), "'dtype'"},
      {"unknown_dtype", entry(R"("dtype":"F31","shape":[2],"data_offsets":[0,8])"), "F31"},
      {"dtype_number", entry(R"("dtype":4,"shape":[2],"data_offsets":[0,8])"), "'dtype'"},
      {"no_shape", entry(R"("dtype":"F32","data_offsets":[0,8])"), "'shape'"},
      {"negative_dimension", entry(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"),
       "'shape'"},
      {"fractional_dimension", entry(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"),
       "'shape'"},
      {"dimension_beyond_int64",
       entry(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8])"), "'shape'"},
      {"shape_overflow",
       entry(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"),
       "more bytes"},
      {"empty_shape_overflow",
       entry(R"("dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0])"),
       "more bytes"},
      {"no_offsets", entry(R"("dtype":"F32","shape":[2])"), "'data_offsets'"},
      {"one_offset", entry(R"("dtype":"F32","shape":[2],"data_offsets":[0])"), "'data_offsets'"},
      {"falling_offsets", entry(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"),
       "'data_offsets'"},
      {"negative_offset", entry(R"("dtype":"F32","shape":[2],"data_offsets":[-8,0])"),
       "'data_offsets'"},
      {"shape_against_offsets", entry(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"),
       "takes 12 bytes, but data_offsets [0, 8] give 8"},
      {"overlap", two(R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]})", 12), "overlap"},
      {"hole", two(R"("b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]})", 20), "hole"},
      {"hole_at_start", entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), "hole"},
      {"data_truncated", entry(good, 7), "truncated"},
      {"stray_bytes", entry(good, 9), "stray bytes"},
      {"metadata_number", safetensors_bytes(R"({"__metadata__":{"k":1}})"), "__metadata__"},
      {"metadata_list", safetensors_bytes(R"({"__metadata__":[]})"), "__metadata__"},
  };
}

class BrokenHeaderTest : public ::testing::TestWithParam<BrokenCase> {};

TEST_P(BrokenHeaderTest, IsADataErrorThatNamesTheFile) {
  const std::string message =
      error_of([&] { parse_safetensors_header(GetParam().bytes, "model.safetensors"); });
  EXPECT_THAT(message, HasSubstr("model.safetensors"));
  EXPECT_THAT(message, HasSubstr(GetParam().expected));
  EXPECT_THROW(parse_safetensors_header(GetParam().bytes, ""), DataError);
}

INSTANTIATE_TEST_SUITE_P(Table, BrokenHeaderTest, ::testing::ValuesIn(broken_cases()),
                         [](const auto& test) { return test.param.name; });

TEST(SafetensorsHeader, ReadsWhatTheReferenceReads) {
  const std::string file = safetensors_bytes(
      R"({"__metadata__":null,"s":{"dtype":"F8_E8M0","shape":[4],"data_offsets":[0,4]}}   )",
      "1234");
  const SafetensorsHeader header = parse_safetensors_header(file, "m");
  EXPECT_TRUE(header.metadata.empty());
  ASSERT_EQ(header.tensors.size(), 1U);
  EXPECT_EQ(header.tensors[0].dtype, "F8_E8M0");
}

// Whatever bytes come: an answer or a DataError, never anything else.
TEST(SafetensorsHeader, SurvivesRandomDamage) {
  const std::string whole = safetensors_bytes(
      R"({"__metadata__":{"a":"b"},"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
      "12345678");
  Random random(7);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = whole;
    for (uint64_t n = 1 + random.below(3); n > 0; --n) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    }
    bytes.resize(random.below(4) == 0 ? random.below(bytes.size() + 1) : bytes.size());
    try {
      parse_safetensors_header(bytes, "fuzz");
    } catch (const DataError&) {
    }
  }
}

}  // namespace
}  // namespace foregate
