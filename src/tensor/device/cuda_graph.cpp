#include "tensor/device/cuda_graph.h"

#ifdef FOREGATE_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace foregate::tensor {

#ifdef FOREGATE_CUDA
struct CudaGraph::Recording {
  at::cuda::CUDAGraph graph;
};

namespace {

/// Libraries set themselves up in the first runs, which must not be recorded.
constexpr int kRunsBefore = 2;

}  // namespace
#else
struct CudaGraph::Recording {};
#endif

CudaGraph::CudaGraph(torch::Device device) : device_(device) {}

CudaGraph::~CudaGraph() = default;

void CudaGraph::run(const std::function<void()>& work) {
#ifdef FOREGATE_CUDA
  if (device_.is_cuda() && runs_ >= kRunsBefore) {
    if (!recording_) {
      const c10::cuda::CUDAStream before = c10::cuda::getCurrentCUDAStream(device_.index());
      before.synchronize();
      auto recording = std::make_unique<Recording>();
      // The default stream cannot be recorded.
      const c10::cuda::CUDAStreamGuard guard(
          c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device_.index()));
      recording->graph.capture_begin();
      work();
      recording->graph.capture_end();
      recording_ = std::move(recording);
    }
    recording_->graph.replay();
    return;
  }
#endif
  ++runs_;
  work();
}

}  // namespace foregate::tensor
