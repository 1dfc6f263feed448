(()=>{
const root=document.documentElement.dataset,at=id=>document.getElementById(id);
const ask=method=>fetch(location.href,{method,cache:'no-store',redirect:'manual',headers:{accept:'application/json'}});
const clock=at('elapsed'),late=at('late');
if(clock){
const started=performance.now()-clock.dataset.seconds*1000;
setInterval(()=>{
const s=Math.max(0,Math.floor((performance.now()-started)/1000)),m=Math.floor(s/60);
clock.textContent=s<60?s+' s':m<60?m+' min '+s%60+' s':Math.floor(m/60)+' h '+m%60+' min';
if(late&&s>=60)late.hidden=false},1000)}
const show=page=>{
document.title=page.title+root.suffix;
for(const id of ['lead','cause','message','remedy'])if(at(id)){at(id).textContent=page[id];at(id).hidden=!page[id]}
if(at('note'))at('note').hidden=!page.cause;
if(at('percent'))at('percent').value=Math.max(at('percent').value,page.percent||0);
page.steps.forEach((state,index)=>{const step=at('step-'+index);if(step){step.className=state;
step.querySelector('.aside').textContent=root[state]||'';
if(state==='now')step.setAttribute('aria-current','step');else step.removeAttribute('aria-current')}})};
let wait=250,pause=+root.pause,timer;
const look=async()=>{
try{
let answer=await ask('HEAD');
if(answer.status!==503)return location.reload();
if(answer.headers.get('etag')!==root.tag){
answer=await ask('GET');
const page=answer.status===503?(await answer.json()).page:null;
if(!page||page.shape!==root.shape)return location.reload();
show(page);root.tag=answer.headers.get('etag')}
}catch{}
again(Math.min(wait*2,pause))};
const again=next=>{clearTimeout(timer);wait=next;timer=setTimeout(look,wait)};
again(wait);
if(!root.stream)return;
const source=new EventSource(root.stream);
let lives=false,run;
const onEvent=event=>{
const {percent,page}=JSON.parse(event.data),of=event.lastEventId.split('.')[0];
if(run&&of&&run!==of&&at('percent'))at('percent').value=0;
run=of||run;lives=true;
if(page&&page.shape===root.shape)show({...page,percent});
if(event.type==='progress'){pause=15000;again(pause)}else{source.close();pause=+root.pause;again(100)}};
for(const type of ['progress','ready','failed','stopped'])source.addEventListener(type,onEvent);
source.onopen=()=>{if(lives){pause=15000;again(pause)}};
source.onerror=()=>{pause=+root.pause;again(250)}})()
