// Stands in for nn/cuda/*.cpp in a build without CUDA: see nn/cuda/available.h.
#include <fmt/core.h>
#include <torch/types.h>

#include <stdexcept>

#include "nn/cuda/activation.h"
#include "nn/cuda/attention.h"
#include "nn/cuda/available.h"
#include "nn/cuda/expert_cache.h"
#include "nn/cuda/experts.h"
#include "nn/cuda/grouped_linear.h"
#include "nn/cuda/norm.h"
#include "nn/cuda/paged_attention.h"
#include "nn/cuda/rope.h"
#include "nn/cuda/router.h"
#include "nn/cuda/thin.h"
#include "nn/cuda/weight.h"

namespace foregate::nn {
namespace {

[[noreturn]] void not_in_this_build(const char* operation) {
  throw std::logic_error(fmt::format("{}: this build has no CUDA kernels", operation));
}

}  // namespace

bool has_cuda_kernels(const torch::Tensor& /*tensor*/) {
  return false;
}

torch::Tensor rms_norm_cuda(const torch::Tensor& /*x*/, const torch::Tensor& /*weight*/,
                            double /*epsilon*/) {
  not_in_this_build("rms_norm_cuda");
}

torch::Tensor gather_rms_norm_cuda(const torch::Tensor& /*states*/, const torch::Tensor& /*tokens*/,
                                   double /*epsilon*/, torch::ScalarType /*dtype*/) {
  not_in_this_build("gather_rms_norm_cuda");
}

void rope_cuda(const torch::Tensor& /*heads*/, const torch::Tensor& /*positions*/,
               const torch::Tensor& /*cos*/, const torch::Tensor& /*sin*/) {
  not_in_this_build("rope_cuda");
}

bool has_attention_cuda(const torch::Tensor& /*qkv*/, const PackedTexts& /*texts*/,
                        const AttentionShape& /*shape*/) {
  return false;
}

torch::Tensor attention_cuda(const torch::Tensor& /*qkv*/, const PackedTexts& /*texts*/,
                             const AttentionShape& /*shape*/) {
  not_in_this_build("attention_cuda");
}

torch::Tensor router_logits_cuda(const torch::Tensor& /*x*/, const torch::Tensor& /*weight*/) {
  not_in_this_build("router_logits_cuda");
}

Routing route_cuda(const torch::Tensor& /*logits*/, int64_t /*k*/, bool /*norm_topk*/) {
  not_in_this_build("route_cuda");
}

bool has_route_few_cuda(const RowsBeforeNorm& /*rows*/, const torch::Tensor& /*weight*/,
                        int64_t /*k*/) {
  return false;
}

RoutedRows route_few_cuda(const RowsBeforeNorm& /*rows*/, const torch::Tensor& /*weight*/,
                          int64_t /*k*/, bool /*norm_topk*/, const torch::Tensor& /*counters*/) {
  not_in_this_build("route_few_cuda");
}

torch::Tensor dequantize_cuda(const tensor::Weight& /*weight*/, torch::ScalarType /*dtype*/) {
  not_in_this_build("dequantize_cuda");
}

torch::Tensor sigmoid_gate_cuda(const torch::Tensor& /*x*/, const torch::Tensor& /*weight*/) {
  not_in_this_build("sigmoid_gate_cuda");
}

torch::Tensor silu_linear_cuda(const torch::Tensor& /*x*/, const torch::Tensor& /*weight*/,
                               const torch::Tensor& /*row_scale*/) {
  not_in_this_build("silu_linear_cuda");
}

bool has_rotated_linear_cuda(const torch::Tensor& /*x*/, const RotatedLinear& /*linear*/) {
  return false;
}

torch::Tensor rotated_linear_cuda(const torch::Tensor& /*x*/, const RotatedLinear& /*linear*/) {
  not_in_this_build("rotated_linear_cuda");
}

std::unique_ptr<ExpertOutputs> make_expert_outputs_cuda(const torch::Tensor& /*x*/,
                                                        const Routing& /*routing*/,
                                                        int64_t /*num_experts*/) {
  not_in_this_build("make_expert_outputs_cuda");
}

struct DeviceExpertCache::Impl {};

DeviceExpertCache::DeviceExpertCache(const ExpertCacheShape& /*shape*/,
                                     std::vector<ExpertPart> /*parts*/,
                                     const ForeseeRules& /*rules*/, torch::Device /*device*/) {
  not_in_this_build("DeviceExpertCache");
}

DeviceExpertCache::~DeviceExpertCache() = default;

int64_t DeviceExpertCache::most_tokens(int64_t /*top_k*/) const {
  return 0;
}

torch::Tensor DeviceExpertCache::matrices(int /*layer*/) const {
  not_in_this_build("DeviceExpertCache");
}

void DeviceExpertCache::begin_step() {
  not_in_this_build("DeviceExpertCache");
}

void DeviceExpertCache::see(int /*layer*/, const torch::Tensor& /*x*/) {
  not_in_this_build("DeviceExpertCache");
}

void DeviceExpertCache::bring(int /*layer*/, const torch::Tensor& /*chosen*/) {
  not_in_this_build("DeviceExpertCache");
}

void DeviceExpertCache::foresee(int /*layer*/) {
  not_in_this_build("DeviceExpertCache");
}

void DeviceExpertCache::end_step() {
  not_in_this_build("DeviceExpertCache");
}

ExpertBooks DeviceExpertCache::books() const {
  not_in_this_build("DeviceExpertCache");
}

void DeviceExpertCache::set_books(const ExpertBooks& /*books*/) {
  not_in_this_build("DeviceExpertCache");
}

std::vector<ExpertCacheCount> DeviceExpertCache::counts() const {
  not_in_this_build("DeviceExpertCache");
}

bool has_thin_linear_cuda(const torch::Tensor& /*x*/, const tensor::Weight& /*weight*/) {
  return false;
}

bool normalizes_in_thin_linear_cuda(const torch::Tensor& /*x*/, const tensor::Weight& /*weight*/) {
  return false;
}

torch::Tensor thin_rotated_linear_cuda(const RotatedThinLinear& /*linear*/) {
  not_in_this_build("thin_rotated_linear_cuda");
}

torch::Tensor thin_linear_cuda(const torch::Tensor& /*x*/, const tensor::Weight& /*weight*/,
                               const torch::Tensor& /*bias*/, torch::ScalarType /*dtype*/) {
  not_in_this_build("thin_linear_cuda");
}

void add_thin_linear_cuda(torch::Tensor& /*residual*/, const torch::Tensor& /*x*/,
                          const tensor::Weight& /*weight*/, const torch::Tensor& /*bias*/) {
  not_in_this_build("add_thin_linear_cuda");
}

torch::Tensor thin_silu_linear_cuda(const torch::Tensor& /*x*/, const tensor::Weight& /*weight*/,
                                    const torch::Tensor& /*row_scale*/) {
  not_in_this_build("thin_silu_linear_cuda");
}

bool has_thin_experts_cuda(const torch::Tensor& /*x*/, const ExpertWeights& /*experts*/,
                           const MlpWeights& /*shared*/) {
  return false;
}

void add_thin_experts_cuda(torch::Tensor& /*residual*/, const torch::Tensor& /*x*/,
                           const Routing& /*routing*/, const ExpertWeights& /*experts*/,
                           const MlpWeights& /*shared*/, const torch::Tensor& /*shared_gate*/,
                           const RowsBeforeNorm& /*before*/) {
  not_in_this_build("add_thin_experts_cuda");
}

bool has_paged_attention_cuda(const torch::Tensor& /*qkv*/, const AttentionShape& /*shape*/) {
  return false;
}

void attend_step_cuda(const torch::Tensor& /*qkv*/, const SequencePages& /*where*/,
                      const AttentionShape& /*shape*/, PagedKv& /*cache*/,
                      const LayerAttention& /*layer*/, torch::Tensor& /*result*/) {
  not_in_this_build("attend_step_cuda");
}

void attend_paged_cuda(const torch::Tensor& /*qkv*/, const PagedStep& /*step*/,
                       const std::vector<int64_t>& /*sequences*/, const AttentionShape& /*shape*/,
                       PagedKv& /*cache*/, const LayerAttention& /*layer*/,
                       torch::Tensor& /*result*/) {
  not_in_this_build("attend_paged_cuda");
}

}  // namespace foregate::nn
