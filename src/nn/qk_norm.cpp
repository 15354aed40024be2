#include "nn/qk_norm.h"

#include <torch/types.h>

#include "nn/rms_norm.h"

namespace foregate::nn {
namespace {

void normalize(torch::Tensor rows, const torch::Tensor& weight, double epsilon) {
  TORCH_CHECK(weight.dim() == 1 && weight.size(0) > 0 && rows.size(1) % weight.size(0) == 0,
              "qk_norm: weight is ", weight.sizes(), ", rows are ", rows.sizes(),
              "; expected a weight as wide as a head or as all of them");
  rows.copy_(rms_norm(rows.reshape({-1, weight.size(0)}), weight, epsilon).view(rows.sizes()));
}

}  // namespace

void qk_norm(torch::Tensor& qkv, const torch::Tensor& query_weight, const torch::Tensor& key_weight,
             const AttentionShape& shape, double epsilon) {
  TORCH_CHECK(qkv.dim() == 2 && qkv.size(1) == shape.qkv_size(), "qk_norm: qkv is ", qkv.sizes(),
              "; expected [T, ", shape.qkv_size(), "]");
  const int64_t query = shape.num_heads * shape.head_dim;
  const int64_t key = shape.num_kv_heads * shape.head_dim;
  normalize(qkv.narrow(1, 0, query), query_weight, epsilon);
  normalize(qkv.narrow(1, query, key), key_weight, epsilon);
}

}  // namespace foregate::nn
