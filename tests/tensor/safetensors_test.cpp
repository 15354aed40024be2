#include "tensor/files/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <unistd.h>

#include <fstream>

#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate::tensor {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

class DtypeTest : public ::testing::TestWithParam<torch::ScalarType> {};

TEST_P(DtypeTest, WritesAndReadsBack) {
  const TemporaryFolder folder;
  for (const int64_t rows : {0, 1, 31, 32, 33, 1000}) {
    const torch::Tensor values = torch::randint(0, 2, {rows, 3}).to(GetParam());
    write_safetensors(folder / "x", {{"other", torch::ones({5}, torch::kUInt8)}, {"v", values}});
    const torch::Tensor read = SafetensorsFile(folder / "x").tensor("v");
    EXPECT_EQ(read.scalar_type(), GetParam());
    EXPECT_EQ(read.sizes(), values.sizes());
    EXPECT_TRUE(torch::equal(read.to(torch::kFloat64), values.to(torch::kFloat64)));
  }
}

INSTANTIATE_TEST_SUITE_P(All, DtypeTest,
                         ::testing::Values(torch::kFloat64, torch::kFloat32, torch::kFloat16,
                                           torch::kBFloat16, torch::kInt64, torch::kInt32,
                                           torch::kInt16, torch::kInt8, torch::kUInt8,
                                           torch::kBool));

TEST(Safetensors, KeepsMetadataScalarsAndTheMapping) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x", {{"s", torch::tensor(2.5)}}, {{"made", "here"}});
  torch::Tensor scalar;
  {
    const SafetensorsFile file(folder / "x");
    EXPECT_EQ(file.metadata().at("made"), "here");
    scalar = file.tensor("s");
    file.release_pages("s");
  }
  EXPECT_EQ(scalar.dim(), 0);
  EXPECT_EQ(scalar.item<float>(), 2.5F);
}

// How many of the pages under these bytes are mapped into this process.
int64_t resident_pages(const torch::Tensor& tensor) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) / page;
  const auto last =
      (reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) + tensor.nbytes() - 1) / page;
  std::ifstream pagemap("/proc/self/pagemap", std::ios::binary);
  int64_t resident = 0;
  for (uintptr_t number = first; number <= last; ++number) {
    uint64_t entry = 0;
    pagemap.seekg(static_cast<std::streamoff>(number * sizeof(entry)));
    pagemap.read(reinterpret_cast<char*>(&entry), sizeof(entry));
    resident += static_cast<int64_t>(entry >> 63);
  }
  return resident;
}

TEST(Safetensors, PagesOfRowsAreLetGoAndComeBack) {
  const TemporaryFolder folder;
  const torch::Tensor values =
      torch::arange(512 * 4096, torch::kFloat32).view({512, 4096});  // 8 MB
  write_safetensors(folder / "x", {{"before", torch::ones({5})}, {"t", values}});
  const SafetensorsFile file(folder / "x");
  const torch::Tensor mapped = file.tensor("t");
  ASSERT_TRUE(torch::equal(mapped, values));
  const int64_t all = resident_pages(mapped);
  if (all == 0) GTEST_SKIP() << "/proc/self/pagemap does not say here which pages are mapped";
  EXPECT_GE(all, 2048);
  file.release_rows("t", 128, 256);
  EXPECT_LE(resident_pages(mapped), all - 1023);
  EXPECT_GE(resident_pages(mapped.narrow(0, 384, 128)), 512);
  file.release_pages("t");
  EXPECT_LE(resident_pages(mapped), 1);
  EXPECT_TRUE(torch::equal(mapped, values));
  EXPECT_TRUE(torch::equal(file.tensor("before"), torch::ones({5})));
}

TEST(Safetensors, UnalignedTensorsAreReadToo) {
  const TemporaryFolder folder;
  const std::string header =
      R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  testing::write_text(folder / "x",
                      testing::safetensors_bytes(header, std::string("\x01\0\0\x80\x3f", 5)));
  EXPECT_EQ(SafetensorsFile(folder / "x").tensor("f").item<float>(), 1.0F);
}

TEST(Safetensors, RowsAreThoseOfTheTensor) {
  const TemporaryFolder folder;
  const torch::Tensor values = torch::arange(60).view({5, 4, 3});
  write_safetensors(folder / "x", {{"scalar", torch::ones({})}, {"t", values}});
  const SafetensorsFile safetensors(folder / "x");
  const TensorFile& file = safetensors;
  EXPECT_TRUE(torch::equal(file.rows("t", 0, 5), values));
  EXPECT_TRUE(torch::equal(file.rows("t", 2, 2), values.narrow(0, 2, 2)));
  EXPECT_EQ(file.rows("t", 5, 0).sizes(), (std::vector<int64_t>{0, 4, 3}));
  // Views of the file, not copies.
  EXPECT_EQ(file.rows("t", 2, 2).const_data_ptr(), file.tensor("t")[2].const_data_ptr());
  EXPECT_ANY_THROW(file.rows("t", 4, 2));
  EXPECT_ANY_THROW(file.rows("scalar", 0, 1));
}

TEST(Safetensors, UnalignedRowsAreReadToo) {
  const TemporaryFolder folder;
  const std::string header =
      R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})";
  testing::write_text(folder / "x", testing::safetensors_bytes(
                                        header, std::string("\x01\0\0\x80\x3f\0\0\0\x40", 9)));
  EXPECT_EQ(SafetensorsFile(folder / "x").rows("f", 1, 1).item<float>(), 2.0F);
}

TEST(Safetensors, NamesWhatIsNotThere) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x", {{"s", torch::zeros({2})}});
  const SafetensorsFile file(folder / "x");
  EXPECT_FALSE(file.contains("t"));
  EXPECT_THAT(error_of([&] { file.tensor("t"); }), HasSubstr("\"t\""));
  EXPECT_THAT(error_of([&] { file.rows("t", 0, 1); }), HasSubstr("\"t\""));
  EXPECT_THROW(SafetensorsFile(folder / "nothing"), EnvironmentError);
}

TEST(SafetensorsWriter, PiecesInAnyOrderAndZerosElsewhere) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "x",
                           {{"a", torch::kInt16, {4}}, {"b", torch::kFloat32, {5, 2}}});
  writer.write_rows("b", 3, torch::full({2, 2}, 3.0));
  writer.write_rows("b", 0, torch::full({1, 2}, 1.0));
  writer.write_rows("b", 5, torch::empty({0, 2}));
  EXPECT_FALSE(std::filesystem::exists(folder / "x"));
  writer.commit();
  EXPECT_EQ(std::filesystem::file_size(folder / "x"), writer.file_size());
  const SafetensorsFile file(folder / "x");
  const torch::Tensor expected = torch::tensor({1, 1, 0, 0, 0, 0, 3, 3, 3, 3}).view({5, 2});
  EXPECT_TRUE(torch::equal(file.tensor("b"), expected.to(torch::kFloat32)));
  EXPECT_TRUE(torch::equal(file.tensor("a"), torch::zeros({4}, torch::kInt16)));
}

TEST(SafetensorsWriter, RefusesWhatDoesNotFit) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "x", {{"b", torch::kFloat32, {5, 2}}});
  EXPECT_THROW(writer.write_rows("c", 0, torch::zeros({1, 2})), DataError);
  EXPECT_THROW(writer.write_rows("b", 5, torch::zeros({1, 2})), DataError);
  EXPECT_THROW(writer.write_rows("b", -1, torch::zeros({1, 2})), DataError);
  EXPECT_THROW(writer.write_rows("b", 0, torch::zeros({1, 3})), DataError);
  EXPECT_THROW(writer.write_rows("b", 0, torch::zeros({1, 2}, torch::kInt32)), DataError);
  EXPECT_THROW(writer.write_rows("b", 0, torch::zeros({2, 2}).t()), DataError);
  EXPECT_THROW(
      SafetensorsWriter(folder / "y", {{"b", torch::kInt8, {1}}, {"b", torch::kInt8, {1}}}),
      DataError);
}

TEST(SafetensorsWriter, LeavesNothingWithoutCommit) {
  const TemporaryFolder folder;
  { SafetensorsWriter writer(folder / "x", {{"b", torch::kFloat32, {5, 2}}}); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace foregate::tensor
