#include "trace/import/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/files.h"
#include "base/half.h"
#include "base/random.h"
#include "npy_fixture.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "support/trace_fixture.h"
#include "trace/export/npy_writer.h"

namespace foregate::trace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class NpyTest : public ::testing::Test {
 protected:
  fs::path file(const std::string& bytes) const {
    const fs::path path = folder_.path() / "array.npy";
    overwrite(path, bytes);
    return path;
  }
  std::string problem(const std::string& bytes) const {
    const fs::path path = file(bytes);
    return testing::error_of([&] { NpyArray array(path); });
  }
  testing::TemporaryFolder folder_;
};

TEST_F(NpyTest, ReadsEveryIntegerType) {
  const auto expect_values = [&]<typename T>(const std::string& descr, std::vector<T> values) {
    const NpyArray array(file(npy_bytes(descr, {static_cast<int64_t>(values.size())}, values)));
    ASSERT_EQ(array.size(), static_cast<int64_t>(values.size()));
    EXPECT_FALSE(array.is_real());
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(array.integer(static_cast<int64_t>(i)), static_cast<int64_t>(values[i])) << descr;
    }
  };
  expect_values("|i1", std::vector<int8_t>{-128, 0, 127});
  expect_values("|u1", std::vector<uint8_t>{0, 255});
  expect_values("<i2", std::vector<int16_t>{-32768, 3});
  expect_values("<u2", std::vector<uint16_t>{65535});
  expect_values("<i4", std::vector<int32_t>{INT32_MIN, INT32_MAX});
  expect_values("<u4", std::vector<uint32_t>{UINT32_MAX});
  expect_values("<i8", std::vector<int64_t>{INT64_MIN, INT64_MAX});
  const NpyArray large(file(npy_bytes("<u8", {1}, std::vector<uint64_t>{UINT64_MAX})));
  EXPECT_EQ(large.integer(0), INT64_MAX);
}

TEST_F(NpyTest, ReadsEveryFloatType) {
  const NpyArray half(file(npy_bytes("<f2", {1}, std::vector<uint16_t>{float_to_half(0.5F)})));
  EXPECT_EQ(half.real(0), 0.5F);
  const NpyArray single(file(npy_bytes("<f4", {2}, std::vector<float>{1.25F, -3})));
  EXPECT_EQ(single.real(1), -3.0F);
  const NpyArray real(file(npy_bytes("<f8", {1}, std::vector<double>{0.125})));
  EXPECT_EQ(real.real(0), 0.125F);
  EXPECT_TRUE(real.is_real());
}

TEST_F(NpyTest, ReadsShapesOfAnyDimension) {
  const NpyArray scalar(file(npy_bytes("<i4", {}, std::vector<int32_t>{7})));
  EXPECT_EQ(scalar.size(), 1);
  EXPECT_EQ(scalar.integer(0), 7);
  const NpyArray empty(file(npy_bytes("<i4", {0, 3}, std::vector<int32_t>{})));
  EXPECT_EQ(empty.size(), 0);
  const NpyArray cube(file(npy_bytes("|u1", {2, 3, 4}, std::vector<uint8_t>(24, 1))));
  EXPECT_THAT(cube.shape(), ElementsAre(2, 3, 4));
}

TEST_F(NpyTest, ReadsWhatTheWriterWrote) {
  for (const int64_t rows : {0, 1, 31, 32, 33, 100000}) {
    std::vector<int32_t> values;
    for (int64_t i = 0; i < rows * 2; ++i) values.push_back(static_cast<int32_t>(i * 7));
    const fs::path path = folder_.path() / "written.npy";
    NpyWriter writer(path, "<i4", {rows, 2});
    writer.append(values);
    writer.finish();
    const NpyArray array(path);
    ASSERT_THAT(array.shape(), ElementsAre(rows, 2));
    for (int64_t i = 0; i < array.size(); ++i) ASSERT_EQ(array.integer(i), i * 7);
  }
}

TEST_F(NpyTest, AcceptsVersions2And3) {
  for (const char version : {'\x02', '\x03'}) {
    const std::string text = npy_dict("|u1", "False", "(2,)");
    std::string bytes = std::string("\x93NUMPY") + version + '\0';
    bytes += static_cast<char>(text.size());
    bytes += std::string(3, '\0') + text + "ab";
    EXPECT_EQ(NpyArray(file(bytes)).integer(1), 'b');
  }
}

TEST_F(NpyTest, RefusesWhatItCannotRead) {
  const std::vector<uint8_t> six(6, 1);
  EXPECT_THAT(problem(""), HasSubstr("empty"));
  EXPECT_THAT(problem("PK\x03\x04 an npz"), HasSubstr("zip archive"));
  EXPECT_THAT(problem("\x93NUMPY"), HasSubstr("ends inside the npy header"));
  const std::string whole = npy_bytes("|u1", {2, 3}, six);
  EXPECT_THAT(problem(whole.substr(0, 40)), HasSubstr("ends inside the npy header"));
  EXPECT_THAT(problem(whole.substr(0, whole.size() - 1)), HasSubstr("truncated"));
  EXPECT_THAT(problem(whole + "x"), HasSubstr("needs 6 bytes, the file has 7"));
  EXPECT_THAT(problem(npy_bytes("|O", {2, 3}, six)), HasSubstr("Python objects"));
  EXPECT_THAT(problem(npy_bytes(">i2", {1, 3}, six)), HasSubstr("dtype '>i2'"));
  EXPECT_THAT(problem(npy_bytes("|b1", {2, 3}, six)), HasSubstr("dtype '|b1'"));
  EXPECT_THAT(problem(npy_bytes("<c8", {2, 3}, six)), HasSubstr("dtype '<c8'"));
  EXPECT_THAT(problem(npy_file(npy_dict("|u1", "True", "(2, 3)"), six)),
              HasSubstr("Fortran order"));
  EXPECT_THAT(
      problem(npy_file("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,)}", six)),
      HasSubstr("structures"));
  std::string version_9 = whole;
  version_9[6] = 9;
  EXPECT_THAT(problem(version_9), HasSubstr("npy version 9"));
}

TEST_F(NpyTest, RefusesShapesThatOverflow) {
  const std::vector<uint8_t> none;
  for (const char* shape :
       {"(9223372036854775807, 9223372036854775807, 4)", "(4294967296, 4294967296)",
        "(3074457345618258603, 6)", "(9223372036854775807,)"}) {
    EXPECT_THAT(problem(npy_file(npy_dict("<i4", "False", shape), none)),
                ::testing::AnyOf(HasSubstr("larger than any file"), HasSubstr("truncated")))
        << shape;
  }
  EXPECT_THAT(problem(npy_file(npy_dict("<i4", "False", "(99999999999999999999,)"), none)),
              HasSubstr("header is not valid"));
  EXPECT_THAT(problem(npy_file(npy_dict("<i4", "False", "(-1,)"), none)),
              HasSubstr("header is not valid"));
}

TEST_F(NpyTest, SurvivesAnyHeader) {
  // Mutations of a real header, cut anywhere: an error or an array that can be read to its end.
  Random random(17);
  const std::string whole = npy_bytes("<i2", {2, 3, 1}, std::vector<int16_t>(6, 5));
  const std::string alphabet =
      "{}()[]',:<|iuf0123456789TrueFalse \n\x93\xff" + std::string(1, '\0');
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = whole.substr(0, random.below(whole.size() + 1));
    for (uint64_t change = random.below(4); change > 0 && !bytes.empty(); --change) {
      bytes[random.below(bytes.size())] = alphabet[random.below(alphabet.size())];
    }
    try {
      const NpyHeader header = parse_npy_header(bytes, "fuzz");
      EXPECT_LE(header.data_offset, bytes.size());
    } catch (const DataError&) {
    }
    if (round % 20 != 0) continue;  // Files are slow.
    try {
      const NpyArray array(file(bytes));
      for (int64_t i = 0; i < array.size(); ++i) array.is_real() ? 0 : array.integer(i);
    } catch (const DataError&) {
    }
  }
}

}  // namespace
}  // namespace foregate::trace
