#include "tensor/files/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "support/gguf_bytes.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "tensor/files/gguf_split.h"

namespace foregate::tensor {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

// Bit by bit, but for the payload of what is not a number.
void expect_same_bits(const torch::Tensor& actual, const torch::Tensor& expected) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  const torch::Tensor nan = expected.isnan();
  EXPECT_TRUE(torch::equal(actual.isnan(), nan));
  EXPECT_TRUE(torch::equal(actual.view(torch::kInt32).masked_fill(nan, 0),
                           expected.view(torch::kInt32).masked_fill(nan, 0)));
}

class GgufBlocksTest : public ::testing::TestWithParam<const char*> {
 protected:
  GgufFile file_{std::filesystem::path(FOREGATE_SOURCE_DIR) /
                 "tests/tensor/goldens/gguf_blocks.gguf"};
};

TEST_P(GgufBlocksTest, DecodesAsTheGgufPackage) {
  const std::string name = GetParam();
  const torch::Tensor expected = file_.tensor(name + ".expected");
  ASSERT_GE(expected.numel(), 20 * 32);
  expect_same_bits(file_.tensor(name).to(torch::kFloat32), expected);
}

TEST_P(GgufBlocksTest, RowsAreThoseOfTheWhole) {
  const torch::Tensor whole = file_.tensor(GetParam());
  for (int64_t first = 0; first < whole.size(0); ++first) {
    for (int64_t count = 0; first + count <= whole.size(0); ++count) {
      const torch::Tensor rows = file_.rows(GetParam(), first, count);
      file_.release_rows(GetParam(), first, count);
      EXPECT_TRUE(torch::equal(rows.view(torch::kUInt8),
                               whole.narrow(0, first, count).contiguous().view(torch::kUInt8)));
    }
  }
  file_.release_pages(GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, GgufBlocksTest,
                         ::testing::Values("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K",
                                           "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4",
                                           "F16", "BF16"));

TEST(Gguf, GivesFloatsWhereTheyLie) {
  const TemporaryFolder folder;
  GgufBytes builder;
  builder.floats("cube", {2, 3, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  builder.floats("vector", {3}, {1, 2, 3});
  const GgufFile file(folder.write("x.gguf", builder.bytes()));
  EXPECT_EQ(file.find("none"), nullptr);
  ASSERT_NE(file.find("cube"), nullptr);
  EXPECT_THAT(file.find("cube")->shape, ElementsAre(2, 3, 2));
  EXPECT_TRUE(torch::equal(file.tensor("cube"), torch::arange(12.0F).view({2, 3, 2})));
  EXPECT_TRUE(torch::equal(file.rows("cube", 1, 1), torch::arange(6.0F, 12.0F).view({1, 3, 2})));
  EXPECT_TRUE(torch::equal(file.vectors("cube", 2, 2), torch::arange(4.0F, 8.0F).view({2, 2})));
  EXPECT_TRUE(torch::equal(file.rows("vector", 1, 2), torch::tensor({2.0F, 3.0F})));
  EXPECT_EQ(file.tensor("cube").const_data_ptr(), file.tensor("cube").const_data_ptr());
  EXPECT_THAT(error_of([&] { static_cast<void>(file.tensor("none")); }),
              HasSubstr("there is no tensor \"none\" among its 2"));
}

TEST(Gguf, RefusesTypesThatAreNotDecoded) {
  const TemporaryFolder folder;
  GgufBytes builder;
  builder.tensor("blk.0.ffn_up.weight", 17, {1, 256}, std::string(74, 'x'));
  EXPECT_THAT(error_of([&] { GgufFile(folder.write("x.gguf", builder.bytes())); }),
              AllOf(HasSubstr("x.gguf: tensor \"blk.0.ffn_up.weight\" is kept as IQ2_XS"),
                    HasSubstr("Q4_K")));
}

TEST(Gguf, RefusesThePointerThatGitLfsLeaves) {
  const TemporaryFolder folder;
  const auto path = folder.write("x.gguf",
                                 "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
                                 "size 18556685824\n");
  EXPECT_THAT(error_of([&] { GgufFile{path}; }),
              AllOf(HasSubstr("is a Git LFS pointer"), HasSubstr("18,556,685,824")));
}

TEST(Gguf, PartsOfASplitModelAreKnownByTheirNames) {
  EXPECT_THAT(
      gguf_split_files("/m/a-00002-of-00003.gguf"),
      ElementsAre("a-00001-of-00003.gguf", "a-00002-of-00003.gguf", "a-00003-of-00003.gguf"));
  EXPECT_EQ(first_gguf_file("/m/a-00002-of-00003.gguf"), "/m/a-00001-of-00003.gguf");
  for (const char* whole : {"a.gguf", "a-00004-of-00003.gguf", "a-00000-of-00003.gguf",
                            "-00001-of-00003.gguf", "a-0001-of-00003.gguf"}) {
    EXPECT_THAT(gguf_split_files(whole), ElementsAre(whole));
  }
}

}  // namespace
}  // namespace foregate::tensor
