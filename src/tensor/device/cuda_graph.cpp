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

// The allocator gives a stream's memory to no other, so graphs that share it are recorded on one.
struct CudaGraphMemory::Pool {
  explicit Pool(torch::Device device)
      : id(at::cuda::graph_pool_handle()),
        stream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())) {}

  at::cuda::MempoolId_t id;
  c10::cuda::CUDAStream stream;
};

namespace {

/// Libraries set themselves up in the first runs, which must not be recorded.
constexpr int kRunsBefore = 2;

}  // namespace
#else
struct CudaGraph::Recording {};
struct CudaGraphMemory::Pool {};
#endif

CudaGraphMemory::CudaGraphMemory([[maybe_unused]] torch::Device device) {
#ifdef FOREGATE_CUDA
  if (device.is_cuda()) pool_ = std::make_unique<Pool>(device);
#endif
}

CudaGraphMemory::~CudaGraphMemory() = default;

CudaGraph::CudaGraph(torch::Device device, CudaGraphMemory* shared)
    : device_(device), shared_(shared) {}

CudaGraph::~CudaGraph() = default;

void CudaGraph::run(const std::function<void()>& work) {
#ifdef FOREGATE_CUDA
  if (device_.is_cuda() && runs_ >= kRunsBefore) {
    if (!recording_) {
      const c10::cuda::CUDAStream before = c10::cuda::getCurrentCUDAStream(device_.index());
      before.synchronize();
      auto recording = std::make_unique<Recording>();
      std::unique_ptr<CudaGraphMemory::Pool> own;
      if (shared_ == nullptr) own = std::make_unique<CudaGraphMemory::Pool>(device_);
      const CudaGraphMemory::Pool& pool = own ? *own : *shared_->pool_;
      const c10::cuda::CUDAStreamGuard guard(pool.stream);  // the default one cannot be recorded
      recording->graph.capture_begin(pool.id);
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
