#include "predict/training/adamw.h"

#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "tensor/device/transfer.h"

namespace foregate::predict {
namespace {

constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;
constexpr double kEpsilon = 1e-8;

std::vector<torch::Tensor> values_of(const NamedTensors& tensors) {
  std::vector<torch::Tensor> values;
  for (const auto& [name, tensor] : tensors) values.push_back(tensor);
  return values;
}

}  // namespace

AdamW::AdamW(const TrainingState& state, const torch::Device& device,
             const TrainerSettings& settings)
    : weight_decay_(settings.weight_decay),
      clip_norm_(settings.clip_norm),
      parameters_(values_of(state.parameters)),
      first_moments_(values_of(state.first_moments)),
      second_moments_(values_of(state.second_moments)),
      controls_(torch::zeros({2}, device)),
      steps_(parameters_.size(), controls_[1]) {}

void AdamW::set(double learning_rate, int64_t step) {
  tensor::copy_to_device(torch::tensor({learning_rate, static_cast<double>(step)}, torch::kFloat32),
                         controls_);
}

void AdamW::apply(const std::vector<torch::Tensor>& gradients) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> rows;  // laid out as the parameters are
  for (const torch::Tensor& gradient : gradients) rows.push_back(gradient.contiguous());
  if (clip_norm_ > 0) {
    const torch::Tensor norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(rows)));
    rows = at::_foreach_mul(rows, norm.clamp_min(1e-12).reciprocal().mul(clip_norm_).clamp_max(1));
  }
  at::_fused_adamw_(parameters_, rows, first_moments_, second_moments_, {}, steps_, controls_[0],
                    kBeta1, kBeta2, weight_decay_, kEpsilon, /*amsgrad=*/false,
                    /*maximize=*/false);
}

}  // namespace foregate::predict
