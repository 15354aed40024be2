#include "nn/routers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "tensor/files/safetensors.h"
#include "trace/features.h"

namespace foregate::nn {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

class RoutersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    geometry_.num_moe_layers = 2;
    geometry_.num_experts = 8;
    geometry_.top_k = 3;
    geometry_.hidden_size = 5;
    geometry_.moe_layers = {0, 1};
    routers_ = {.weight = torch::randn({2, 8, 5}),
                .norm_weight = torch::randn({2, 5}),
                .norm_epsilon = 1e-6,
                .spec = {.score = RouterSpec::Score::kSigmoid, .groups = 4, .top_groups = 2},
                .logit_bias = torch::randn({2, 8}),
                .choice_bias = torch::randn({2, 8})};
  }
  std::string load_error() {
    return error_of([&] { load_routers(folder_.path(), geometry_); });
  }

  TemporaryFolder folder_;
  trace::Geometry geometry_;
  Routers routers_;
};

TEST_F(RoutersTest, SurviveAFile) {
  EXPECT_FALSE(load_routers(folder_.path(), geometry_));
  save_routers(folder_.path(), routers_);
  const Routers read = *load_routers(folder_.path(), geometry_);
  EXPECT_TRUE(torch::equal(read.weight, routers_.weight));
  EXPECT_TRUE(torch::equal(read.norm_weight, routers_.norm_weight));
  EXPECT_EQ(read.norm_epsilon, 1e-6);
  EXPECT_EQ(read.spec, routers_.spec);
  EXPECT_TRUE(torch::equal(read.biases(1).logit, routers_.logit_bias[1]));
  EXPECT_TRUE(torch::equal(read.biases(1).choice, routers_.choice_bias[1]));
  EXPECT_FALSE(read.choose_highest_logits());
}

// Written before there were others than softmax.
TEST_F(RoutersTest, WithoutASpecAreSoftmax) {
  tensor::write_safetensors(folder_ / trace::features::kRoutersFile,
                            {{trace::features::kRouterWeight, routers_.weight},
                             {trace::features::kNormWeight, routers_.norm_weight}},
                            {{trace::features::kNormEpsilon, "1e-06"}});
  const Routers read = *load_routers(folder_.path(), geometry_);
  EXPECT_EQ(read.spec, RouterSpec{});
  EXPECT_FALSE(read.biases(0).logit.defined());
  EXPECT_FALSE(read.biases(0).choice.defined());
  EXPECT_TRUE(read.choose_highest_logits());
}

TEST_F(RoutersTest, MustFitTheGeometry) {
  routers_.choice_bias = torch::zeros({2, 7});
  save_routers(folder_.path(), routers_);
  EXPECT_THAT(load_error(), AllOf(HasSubstr("router.choice_bias"), HasSubstr("[2, 8]")));
  routers_.choice_bias = torch::Tensor();
  routers_.spec.groups = 3;
  save_routers(folder_.path(), routers_);
  EXPECT_THAT(load_error(), AllOf(HasSubstr("routers.safetensors"), HasSubstr("groups")));
}

TEST_F(RoutersTest, UnknownScoresAreRefused) {
  tensor::write_safetensors(folder_ / trace::features::kRoutersFile,
                            {{trace::features::kRouterWeight, routers_.weight},
                             {trace::features::kNormWeight, routers_.norm_weight}},
                            {{trace::features::kNormEpsilon, "1e-06"},
                             {trace::features::kRouterSpec, R"({"score": 3})"}});
  EXPECT_THAT(load_error(), AllOf(HasSubstr("router_spec"), HasSubstr("score")));
}

}  // namespace
}  // namespace foregate::nn
