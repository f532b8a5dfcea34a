// Reads reports by the measurement adapters of Cornerstone3D, the code with which OHIF imports them.
// Usage: node read_sr.mjs REPORT.dcm ...; prints JSON: for each report the annotations a viewer would make.
import { readFileSync } from 'node:fs';
import { metaData, utilities } from '@cornerstonejs/core';
import { Cornerstone3DSR } from '@cornerstonejs/adapters/cornerstone3D';
import dcmjs from 'dcmjs';

const { DicomMessage, DicomMetaDictionary } = dcmjs.data;
dcmjs.log.disableAll?.();
utilities.logger?.setLevel?.('error');

// An image of 1 mm pixels at the origin: world coordinates are then those of pixel centres.
metaData.addProvider((type) => {
  if (type !== 'imagePlaneModule') return undefined;
  return {
    rowCosines: [1, 0, 0], columnCosines: [0, 1, 0], imagePositionPatient: [0, 0, 0],
    rowPixelSpacing: 1, columnPixelSpacing: 1, frameOfReferenceUID: '2.25.1',
  };
}, 1000);

function naturalized(path) {
  const bytes = readFileSync(path);
  const part10 = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  return DicomMetaDictionary.naturalizeDataset(DicomMessage.readFile(part10).dict);
}

// The images that a report rests on, with every frame it may refer to.
function imageIds(report) {
  const ids = {};
  for (const study of [report.CurrentRequestedProcedureEvidenceSequence].flat()) {
    for (const series of [study.ReferencedSeriesSequence].flat()) {
      for (const image of [series.ReferencedSOPSequence].flat()) {
        for (const frame of [1, 2, 3]) {
          ids[`${image.ReferencedSOPInstanceUID}:${frame}`] = `image:${image.ReferencedSOPInstanceUID}:${frame}`;
        }
      }
    }
  }
  return ids;
}

const found = {};
for (const path of process.argv.slice(2)) {
  const report = naturalized(path);
  const state = Cornerstone3DSR.MeasurementReport.generateToolState(report, imageIds(report), metaData);
  found[path] = (state.CobbAngle ?? []).map(({ annotation, findingSites }) => ({
    degrees: Object.values(annotation.data.cachedStats)[0]?.angle,
    image: annotation.metadata.referencedImageId,
    points: annotation.data.handles.points.map((point) => point.slice(0, 2)),
    sites: findingSites.map((site) => (Array.isArray(site) ? site[0] : site).CodeMeaning),
    label: annotation.data.label,
  }));
}
console.log(JSON.stringify(found));
